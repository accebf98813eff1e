"""The look of a report's page."""

_RULES = """
:root { color-scheme: light dark;
  --paper: #fcfcfb; --card: #ffffff; --ink: #1a1c1e; --dim: #5c6166; --line: #e1e3e6;
  --unwell: #c62f2f; --watch: #d98a00; --track: #eef0f2; --stage: #2a6fbb; --total: #8a9097;
  --heat1: #d6e6f7; --heat2: #adccec; --heat3: #7fadde; --heat4: #4e8bca; --heat5: #2a69ac;
  --heat6: #113f75; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15181b; --card: #1d2125; --ink: #e8eaec; --dim: #a0a6ac; --line: #343a40;
  --unwell: #f0625d; --watch: #e8a838; --track: #262b30; --stage: #5a9ee6; --total: #7d858d;
  --heat1: #1b3350; --heat2: #24496f; --heat3: #2f6498; --heat4: #4585c2; --heat5: #75aee3;
  --heat6: #c3defa; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 6px; } h2 { font-size: 18px; margin: 34px 0 10px; }
h3 { font-size: 16px; margin: 0 0 6px; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--dim); }
a { color: inherit; }
code { font: 13px ui-monospace, monospace; }
.badge { display: inline-block; padding: 0 8px; border-radius: 9px; border: 1px solid;
  font-size: 13px; font-weight: 600; }
.badge.unwell { color: var(--unwell); } .badge.watch { color: var(--watch); }
.summary { padding-left: 26px; } .summary li { margin: 4px 0; overflow-wrap: anywhere; }
.nothing { font-size: 18px; }
section { background: var(--card); border: 1px solid var(--line); border-left: 5px solid;
  border-radius: 6px; padding: 14px 16px 6px; margin: 0 0 14px; }
section.unwell { border-left-color: var(--unwell); }
section.watch { border-left-color: var(--watch); }
section p { margin: 6px 0; }
.evidence { font-weight: 600; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 14px; margin: 8px 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 8px 0; font-size: 13px; }
th { text-align: left; color: var(--dim); font-weight: 500; }
th, td { border-bottom: 1px solid var(--line); padding: 3px 10px 3px 0; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 12px; }
figcaption { color: var(--dim); font-size: 13px; margin-top: 6px; }
.legend { margin: 6px 0 0; font-size: 13px; }
.key { display: inline-block; width: 12px; height: 12px; vertical-align: -1px; }
.key.unwell { background: var(--unwell); } .key.watch { background: var(--watch); }
svg { display: block; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .axis { fill: var(--dim); font-size: 11px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .track { fill: var(--track); } svg .unwell { fill: var(--unwell); }
svg .watch { fill: var(--watch); } svg .stage { fill: var(--stage); }
svg .total { fill: var(--total); }
svg .heat1 { fill: var(--heat1); } svg .heat2 { fill: var(--heat2); }
svg .heat3 { fill: var(--heat3); } svg .heat4 { fill: var(--heat4); }
svg .heat5 { fill: var(--heat5); } svg .heat6 { fill: var(--heat6); }
footer { color: var(--dim); font-size: 13px; margin-top: 30px; }
@media print { section, figure { break-inside: avoid; } }
"""

CSS = " ".join(_RULES.split())
