// As much of JSON (RFC 8259) as a template needs.

#pragma once

#include "text.h"

// Appends a JSON text with `, ` and `: ` between its elements and no other space, as Python spells it and models know
// it. Returns false, with something or nothing appended, where it is no JSON.
bool json_respell(slice_t json, wasmlx_string_t *spelt);

// Appends a text as a JSON string, quotes included.
void json_quote(slice_t text, wasmlx_string_t *quoted);

// Appends the text of a JSON string. Returns false where it is none.
bool json_unquote(slice_t json, wasmlx_string_t *text);

// The raw JSON of the value under a name in an object. Returns false where the text is no object, or has no such name.
bool json_field(slice_t object, slice_t name, slice_t *value);
