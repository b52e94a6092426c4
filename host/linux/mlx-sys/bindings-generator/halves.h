/* Stand-ins that give bindgen the two names; ../bindings.rs defines them. */
typedef struct { unsigned short bits; } float16_t;
typedef unsigned short bfloat16_t;
