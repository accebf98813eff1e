"""Real kernels in the tests: QEMU boots them in seconds, under software emulation.

  python -m tests.vm list                      the kernels
  python -m tests.vm run KERNEL SCENARIO …     boots one and prints what the guest says
  python -m tests.vm faults KERNEL [NAME …]    makes faults of tests/lab/faults there (netem)
  python -m tests.vm table                     writes the support table into README

Kernels, QEMU and busybox come from Debian's archives through private apt roots into a cache
(NETTOP_VM_CACHE, else ~/.cache/nettop-vm); nothing is installed. A guest has a small initramfs
with the modules it needs, and the machine's own root file system read-only over 9p: so the Python,
the nettop and the tools in it are those that run the tests. A scenario (tests/vm/scenarios/) is a
module whose functions run inside, and tell what they saw as lines on the serial port; the host
judges.
"""
