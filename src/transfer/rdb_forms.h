/* transfer/rdb_forms.h: how a string in a file or a payload begins. */
#pragma once

/* The two upper bits of a length's first byte, and where they do not tell all, the whole of it. */
#define RDB_LENGTH_6_BITS 0x00u
#define RDB_LENGTH_14_BITS 0x40u
#define RDB_LENGTH_32_BITS 0x80u
#define RDB_LENGTH_64_BITS 0x81u
#define RDB_FORM_BITS 0xc0u
/* Not a length: the string is written in another form. */
#define RDB_FORM_INT8 0xc0u
#define RDB_FORM_INT16 0xc1u
#define RDB_FORM_INT32 0xc2u
#define RDB_FORM_LZF 0xc3u

#define RDB_TYPE_STRING 0u
