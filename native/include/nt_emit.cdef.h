/*
 * Rows as text: a program says what is written of each, so that the names and their order are
 * Python's and the numbers are C's.
 */

/* What a step does; its literal is written first. */
enum nt_emit_code {
	NT_E_LITERAL = 0,  /* no more than that */
	NT_E_NUMBER = 1,   /* a whole number */
	NT_E_REAL = 2,	   /* a 32-bit float, by the shortest number that is the same float */
	NT_E_SHARE = 3,	   /* a whole number of percent, as a share of 1 */
	NT_E_TERM = 4,	   /* term a, as NT_E_REAL; with its literal left out where it is unknown */
	NT_E_WORD = 5,	   /* one of n words; the row is refused where it is none */
	NT_E_NAME = 6,	   /* the text given for kind a and that number, its literal in it */
	NT_E_ADDRESS = 7,  /* 16 bytes, by the record's family */
	NT_E_COMM = 8,	   /* a process name in quotes, with n without; refused where it would be escaped */
	NT_E_OPEN = 9,	   /* an object begins ... */
	NT_E_CLOSE = 10,   /* ... and ends; with n, it goes where nothing stands in it */
	NT_E_IF_ANY = 11,  /* goes to step n unless number & a */
	NT_E_IF_NOT = 12,  /* ... unless number is another than a */
	NT_E_IF_LEAST = 13, /* ... unless number is a or more */
	NT_E_IF_ONE_OF = 14, /* ... unless a >> number & 1 */
	NT_E_GO = 15,	   /* goes there */
	NT_E_REFUSE = 16,  /* this row cannot be written by a program */
	/* Term a as it is: whole numbers without a point, nothing where it is unknown. With n, one of
	 * so many words; a number that has none stays one. */
	NT_E_CELL = 17,
	NT_E_CODES = 18,
};

/* Where the number of a step lies. */
enum nt_emit_base {
	NT_EB_REC = 0,
	NT_EB_PROC = 1,
	NT_EB_PLANE = 2,
	NT_EB_DETAIL = 3,
	NT_EB_KNOWN = 4, /* 1 where the row has a detail, else 0 */
	NT_EB_BASES = 5,
};

struct nt_emit_step {
	uint8_t code;
	uint8_t base;
	uint8_t size;  /* of the number in bytes, 1 to 8 */
	uint8_t shift; /* bits to the right ... */
	uint8_t width; /* ... of which so many count; 0: all */
	uint8_t element; /* a comma comes before it, unless it is the first of its object */
	uint16_t n;
	uint32_t offset;
	uint32_t literal_at;
	uint32_t literal_len;
	uint32_t word; /* the first of n */
	uint64_t a;
};

struct nt_emit_word {
	uint32_t at, len; /* in the literals; len 0: none */
};

/* Why nt_emit() came back. */
enum nt_emit_end {
	NT_EE_DONE = 0,
	NT_EE_ROOM = 1,	   /* the row at rows_done finds no room */
	NT_EE_REFUSED = 2, /* it cannot be written by the program */
	NT_EE_NAME = 3,	   /* a name of it was not given */
};

struct nt_emitted {
	uint64_t bytes;
	uint32_t rows_done; /* the next row to be written */
	uint32_t end;	    /* enum nt_emit_end */
};

struct nt_emitter;

/* NULL with errno ENOMEM, or EINVAL: a program that reads or goes where it must not. */
struct nt_emitter *nt_emitter_new(const struct nt_emit_step *steps, uint32_t n_steps,
				  const char *literals, uint32_t n_literals,
				  const struct nt_emit_word *words, uint32_t n_words,
				  const struct nt_term *terms, uint32_t n_terms);
void nt_emitter_free(struct nt_emitter *m);
/* The text for a kind and a number; one that was given before stays. 0, -ENOMEM, -EINVAL. */
int nt_emitter_name(struct nt_emitter *m, uint32_t kind, uint64_t number, const char *text,
		    uint32_t len);
/* Forgets all names. */
void nt_emitter_forget(struct nt_emitter *m);
/*
 * Writes rows[0] to rows[n - 1], each but the very first (written: rows that stand before it)
 * after `between`; details[i] counts where known[i].
 */
void nt_emit(const struct nt_emitter *m, const struct nt_row *rows, const struct nt_detail *details,
	     const uint8_t *known, uint32_t n, uint64_t written, const char *between, char *ret,
	     uint64_t room, struct nt_emitted *out);
