// Strings that grow on the heap, in the type that the interfaces have.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "wasmlx.h"

// Part of a string that somebody else owns.
typedef struct {
    const char *ptr;
    size_t len;
} slice_t;

// A literal as a slice.
#define SLICE(literal) ((slice_t){(literal), sizeof(literal) - 1})

slice_t slice_of(const wasmlx_string_t *string);

// The part behind the first `count` bytes.
slice_t slice_from(slice_t slice, size_t count);

bool slice_equals(slice_t slice, slice_t other);

bool slice_starts_with(slice_t slice, slice_t start);

bool slice_ends_with(slice_t slice, slice_t end);

// Without white space around it.
slice_t slice_trim(slice_t slice);

slice_t slice_trim_start(slice_t slice);

slice_t slice_trim_end(slice_t slice);

// Where `wanted` begins in the slice; SIZE_MAX if it does not.
size_t slice_find(slice_t slice, slice_t wanted);

void string_append(wasmlx_string_t *string, slice_t slice);

// Drops the first `count` bytes.
void string_drop(wasmlx_string_t *string, size_t count);
