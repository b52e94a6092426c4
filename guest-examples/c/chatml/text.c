// Strings that grow on the heap, in the type that the interfaces have.

#include "text.h"

#include <stdlib.h>
#include <string.h>

slice_t slice_of(const wasmlx_string_t *string) {
    return (slice_t){(const char *)string->ptr, string->len};
}

slice_t slice_from(slice_t slice, size_t count) {
    return (slice_t){slice.ptr + count, slice.len - count};
}

bool slice_equals(slice_t slice, slice_t other) {
    return slice.len == other.len && slice_starts_with(slice, other);
}

bool slice_starts_with(slice_t slice, slice_t start) {
    return slice.len >= start.len && (start.len == 0 || memcmp(slice.ptr, start.ptr, start.len) == 0);
}

bool slice_ends_with(slice_t slice, slice_t end) {
    return slice.len >= end.len && slice_equals(slice_from(slice, slice.len - end.len), end);
}

static bool is_space(char character) {
    return character == ' ' || (character >= '\t' && character <= '\r');
}

slice_t slice_trim_start(slice_t slice) {
    while (slice.len > 0 && is_space(slice.ptr[0])) slice = slice_from(slice, 1);
    return slice;
}

slice_t slice_trim_end(slice_t slice) {
    while (slice.len > 0 && is_space(slice.ptr[slice.len - 1])) slice.len -= 1;
    return slice;
}

slice_t slice_trim(slice_t slice) {
    return slice_trim_end(slice_trim_start(slice));
}

size_t slice_find(slice_t slice, slice_t wanted) {
    for (size_t at = 0; at + wanted.len <= slice.len; at += 1) {
        if (slice_starts_with(slice_from(slice, at), wanted)) return at;
    }
    return SIZE_MAX;
}

void string_append(wasmlx_string_t *string, slice_t slice) {
    if (slice.len == 0) return;
    string->ptr = realloc(string->ptr, string->len + slice.len);
    if (string->ptr == NULL) abort();
    memcpy(string->ptr + string->len, slice.ptr, slice.len);
    string->len += slice.len;
}

void string_drop(wasmlx_string_t *string, size_t count) {
    if (count == 0) return;
    string->len -= count;
    memmove(string->ptr, string->ptr + count, string->len);
}
