// What the user may set, out of a JSON object that the host has checked to be one.

#include "config.h"

#include <stdlib.h>

#include "json.h"

// The whole number that a JSON text is. `strtoull` ends at what stands behind the value in its object.
static bool number(slice_t json, uint64_t most, uint64_t *value) {
    char *end;
    *value = strtoull(json.ptr, &end, 10);
    return end == json.ptr + json.len && json.ptr[0] != '-' && *value <= most;
}

// The texts of a JSON list of strings. Each begins and ends with a quote that no backslash stands before.
static bool strings(slice_t json, wasmlx_list_string_t *list) {
    if (json.len < 2 || json.ptr[0] != '[') return false;
    slice_t rest = slice_trim((slice_t){json.ptr + 1, json.len - 2});
    while (rest.len > 0) {
        size_t end = 1;
        while (end < rest.len && rest.ptr[end] != '"') end += rest.ptr[end] == '\\' ? 2 : 1;
        if (end >= rest.len) return false;
        list->ptr = realloc(list->ptr, (list->len + 1) * sizeof *list->ptr);
        if (list->ptr == NULL) abort();
        list->ptr[list->len] = (wasmlx_string_t){0};
        list->len += 1;
        if (!json_unquote((slice_t){rest.ptr, end + 1}, &list->ptr[list->len - 1])) return false;
        rest = slice_trim_start(slice_from(rest, end + 1));
        if (rest.len > 0 && rest.ptr[0] == ',') rest = slice_trim_start(slice_from(rest, 1));
    }
    return true;
}

static bool parse(slice_t json, config_t *config) {
    slice_t value;
    uint64_t whole;
    string_append(&config->options, json_field(json, SLICE("options"), &value) ? value : SLICE("{}"));
    if (json_field(json, SLICE("max_tokens"), &value)) {
        if (!number(value, UINT32_MAX, &whole)) return false;
        config->generate.max_tokens = (wasmlx_option_u32_t){.is_some = true, .val = (uint32_t)whole};
    }
    if (json_field(json, SLICE("seed"), &value)) {
        if (!number(value, UINT64_MAX, &whole)) return false;
        config->generate.seed = (wasmlx_option_u64_t){.is_some = true, .val = whole};
    }
    return !json_field(json, SLICE("stop"), &value) || strings(value, &config->generate.stops);
}

bool config_parse(slice_t json, config_t *config) {
    *config = (config_t){0};
    bool parsed = parse(json, config);
    if (!parsed) config_free(config);
    return parsed;
}

void config_free(config_t *config) {
    wasmlx_string_free(&config->options);
    wasmlx_list_string_free(&config->generate.stops);
}
