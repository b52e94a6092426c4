// A recursive reader that passes over one value and may write it as it goes.

#include "json.h"

#include <stdio.h>
#include <string.h>

// Deeper values are refused, since the stack is small.
#define MOST_DEPTH 128

typedef struct {
    slice_t rest;
    int depth;
    // Where to write what is passed; NULL to pass only.
    wasmlx_string_t *spelt;
} reader_t;

static void write(reader_t *reader, slice_t text) {
    if (reader->spelt != NULL) string_append(reader->spelt, text);
}

// Passes white space and then a word, if it is there, and writes another.
static bool accept(reader_t *reader, slice_t word, slice_t written) {
    slice_t rest = slice_trim_start(reader->rest);
    if (!slice_starts_with(rest, word)) return false;
    reader->rest = slice_from(rest, word.len);
    write(reader, written);
    return true;
}

static bool accept_same(reader_t *reader, slice_t word) {
    return accept(reader, word, word);
}

static bool pass_string(reader_t *reader) {
    slice_t rest = slice_trim_start(reader->rest);
    if (rest.len == 0 || rest.ptr[0] != '"') return false;
    for (size_t at = 1; at < rest.len; at += 1) {
        if ((unsigned char)rest.ptr[at] < ' ') return false;
        if (rest.ptr[at] == '\\') {
            at += 1;
        } else if (rest.ptr[at] == '"') {
            write(reader, (slice_t){rest.ptr, at + 1});
            reader->rest = slice_from(rest, at + 1);
            return true;
        }
    }
    return false;
}

static bool pass_number(reader_t *reader) {
    slice_t rest = slice_trim_start(reader->rest);
    size_t length = 0;
    while (length < rest.len && memchr("+-.0123456789Ee", rest.ptr[length], 15) != NULL) length += 1;
    if (length == 0 || memchr("-0123456789", rest.ptr[0], 11) == NULL) return false;
    write(reader, (slice_t){rest.ptr, length});
    reader->rest = slice_from(rest, length);
    return true;
}

static bool pass_value(reader_t *reader);

static bool pass_elements(reader_t *reader, bool named, slice_t end) {
    if (accept_same(reader, end)) return true;
    do {
        if (named && !(pass_string(reader) && accept(reader, SLICE(":"), SLICE(": ")))) return false;
        if (!pass_value(reader)) return false;
    } while (accept(reader, SLICE(","), SLICE(", ")));
    return accept_same(reader, end);
}

static bool pass_value(reader_t *reader) {
    if (reader->depth == MOST_DEPTH) return false;
    reader->depth += 1;
    bool passed;
    if (accept_same(reader, SLICE("{"))) {
        passed = pass_elements(reader, true, SLICE("}"));
    } else if (accept_same(reader, SLICE("["))) {
        passed = pass_elements(reader, false, SLICE("]"));
    } else {
        passed = pass_string(reader) || accept_same(reader, SLICE("true")) || accept_same(reader, SLICE("false")) ||
                 accept_same(reader, SLICE("null")) || pass_number(reader);
    }
    reader->depth -= 1;
    return passed;
}

bool json_respell(slice_t json, wasmlx_string_t *spelt) {
    reader_t reader = {.rest = json, .spelt = spelt};
    return pass_value(&reader) && slice_trim(reader.rest).len == 0;
}

bool json_field(slice_t object, slice_t name, slice_t *value) {
    reader_t reader = {.rest = object};
    if (!accept_same(&reader, SLICE("{"))) return false;
    do {
        slice_t key = slice_trim_start(reader.rest);
        if (!pass_string(&reader)) return false;
        // Without the quotes, and without the space behind them. Names with escapes are none of ours.
        key = (slice_t){key.ptr + 1, (size_t)(reader.rest.ptr - key.ptr) - 2};
        if (!accept_same(&reader, SLICE(":"))) return false;
        slice_t from = slice_trim_start(reader.rest);
        if (!pass_value(&reader)) return false;
        if (slice_equals(key, name)) {
            *value = (slice_t){from.ptr, (size_t)(reader.rest.ptr - from.ptr)};
            return true;
        }
    } while (accept_same(&reader, SLICE(",")));
    return false;
}

void json_quote(slice_t text, wasmlx_string_t *quoted) {
    static const char ESCAPED[] = "\"\\\b\f\n\r\t", LETTERS[] = "\"\\bfnrt";
    string_append(quoted, SLICE("\""));
    for (size_t at = 0; at < text.len; at += 1) {
        char character = text.ptr[at];
        const char *escaped = character == '\0' ? NULL : strchr(ESCAPED, character);
        if (escaped != NULL) {
            string_append(quoted, (slice_t){(char[]){'\\', LETTERS[escaped - ESCAPED]}, 2});
        } else if ((unsigned char)character < ' ') {
            char code[7];
            snprintf(code, sizeof code, "\\u%04x", character);
            string_append(quoted, (slice_t){code, 6});
        } else {
            string_append(quoted, (slice_t){&character, 1});
        }
    }
    string_append(quoted, SLICE("\""));
}

// The number that four hexadecimal digits spell; UINT32_MAX where they do not.
static uint32_t hexadecimal(slice_t text) {
    uint32_t number = 0;
    for (size_t at = 0; at < 4; at += 1) {
        const char *digits = "0123456789abcdef";
        const char *digit = at < text.len ? memchr(digits, text.ptr[at] | 0x20, 16) : NULL;
        if (digit == NULL) return UINT32_MAX;
        number = number << 4 | (uint32_t)(digit - digits);
    }
    return number;
}

static void append_utf8(uint32_t code, wasmlx_string_t *text) {
    char bytes[4];
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t at = length - 1; at > 0; at -= 1, code >>= 6) bytes[at] = (char)(0x80 | (code & 0x3f));
    static const uint8_t FIRST[] = {0, 0, 0xc0, 0xe0, 0xf0};
    bytes[0] = (char)(FIRST[length] | code);
    string_append(text, (slice_t){bytes, length});
}

bool json_unquote(slice_t json, wasmlx_string_t *text) {
    reader_t reader = {.rest = json};
    if (!pass_string(&reader) || reader.rest.len > 0) return false;
    // The quotes are known to be there, and something behind each backslash.
    slice_t rest = {json.ptr + 1, json.len - 2};
    while (rest.len > 0) {
        const char *backslash = memchr(rest.ptr, '\\', rest.len);
        size_t plain = backslash == NULL ? rest.len : (size_t)(backslash - rest.ptr);
        string_append(text, (slice_t){rest.ptr, plain});
        rest = slice_from(rest, plain);
        if (rest.len == 0) break;
        if (rest.ptr[1] != 'u') {
            static const char LETTERS[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
            const char *letter = strchr(LETTERS, rest.ptr[1]);
            if (letter == NULL || *letter == '\0') return false;
            string_append(text, (slice_t){&MEANT[letter - LETTERS], 1});
            rest = slice_from(rest, 2);
            continue;
        }
        uint32_t code = hexadecimal(slice_from(rest, 2));
        if (code == UINT32_MAX) return false;
        rest = slice_from(rest, 6);
        if (code >= 0xd800 && code < 0xdc00 && slice_starts_with(rest, SLICE("\\u"))) {
            uint32_t low = hexadecimal(slice_from(rest, 2));
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                rest = slice_from(rest, 6);
            }
        }
        // Half of a surrogate pair is no character.
        append_utf8(code >= 0xd800 && code < 0xe000 ? 0xfffd : code, text);
    }
    return true;
}
