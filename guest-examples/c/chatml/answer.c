// Text is said as soon as it is certain. Held back are what may still become a marker, white space that a marker may
// follow, and a call until its closing tag.

#include "answer.h"

#include <stdlib.h>

#include "json.h"

#define THINK SLICE("<think>")
#define THINK_END SLICE("</think>")
#define CALL SLICE("<tool_call>")
#define CALL_END SLICE("</tool_call>")

struct exports_template_parser_t {
    // START: before anything but white space.
    enum { START, REASONING, CONTENT, IN_CALL } state;
    // Whether the model was offered tools. Where it was not, nothing is a call.
    bool tools;
    // Text that is not understood yet.
    wasmlx_string_t pending;
    // White space that is said only if more of the same part follows it.
    wasmlx_string_t space;
    // Whether white space at the start of what follows is left out, since a marker stands before it.
    bool after_marker;
};

// Passes a marker: white space around it counts for nothing.
static void pass_marker(answer_t *answer) {
    answer->space.len = 0;
    answer->after_marker = true;
}

answer_t *answer_new(slice_t prompt_end, bool tools) {
    answer_t *answer = calloc(1, sizeof *answer);
    if (answer == NULL) abort();
    answer->tools = tools;
    if (slice_ends_with(slice_trim_end(prompt_end), THINK)) {
        pass_marker(answer);
        answer->state = REASONING;
    }
    return answer;
}

void answer_free(answer_t *answer) {
    free(answer->pending.ptr);
    free(answer->space.ptr);
    free(answer);
}

static void output(exports_template_list_output_t *outputs, uint8_t tag, wasmlx_string_t text) {
    outputs->ptr = realloc(outputs->ptr, (outputs->len + 1) * sizeof *outputs->ptr);
    if (outputs->ptr == NULL) abort();
    outputs->ptr[outputs->len] = (types_output_t){.tag = tag, .val.content = text};
    outputs->len += 1;
}

// Says a text, but for white space at its end; what was held back of such before comes first.
static void say(answer_t *answer, slice_t text, exports_template_list_output_t *outputs) {
    slice_t kept = slice_trim_end(text);
    slice_t space = slice_from(text, kept.len);
    if (kept.len > 0) {
        wasmlx_string_t said = {0};
        if (answer->after_marker) {
            kept = slice_trim_start(kept);
        } else {
            string_append(&said, slice_of(&answer->space));
        }
        string_append(&said, kept);
        answer->space.len = 0;
        answer->after_marker = false;
        bool reasoning = answer->state == REASONING;
        output(outputs, reasoning ? TYPES_OUTPUT_REASONING : TYPES_OUTPUT_CONTENT, said);
    }
    string_append(&answer->space, space);
}

// How much of a text cannot be the start of a marker.
static size_t certain(slice_t text, slice_t marker) {
    size_t at = text.len < marker.len ? 0 : text.len - marker.len + 1;
    while (!slice_starts_with(marker, slice_from(text, at))) at += 1;
    return at;
}

// Says what stands before a marker and passes it, if it is there; else says what is certain.
static bool say_until(answer_t *answer, slice_t marker, exports_template_list_output_t *outputs) {
    slice_t pending = slice_of(&answer->pending);
    size_t at = slice_find(pending, marker);
    bool found = at != SIZE_MAX;
    size_t said = found ? at : certain(pending, marker);
    say(answer, (slice_t){pending.ptr, said}, outputs);
    string_drop(&answer->pending, found ? at + marker.len : said);
    return found;
}

// Says a call, from the JSON object between its tags. Returns false, and says nothing, where it is none.
static bool say_call(slice_t json, exports_template_list_output_t *outputs) {
    slice_t value, written = SLICE("{}");
    wasmlx_string_t name = {0}, arguments = {0};
    if (!json_field(json, SLICE("name"), &value) || !json_unquote(value, &name)) {
        free(name.ptr);
        return false;
    }
    json_field(json, SLICE("arguments"), &written);
    // Some models write the arguments as a string that holds JSON.
    if (!json_unquote(written, &arguments)) {
        arguments.len = 0;
        string_append(&arguments, written);
    }
    output(outputs, TYPES_OUTPUT_TOOL_CALL_START, name);
    output(outputs, TYPES_OUTPUT_TOOL_CALL_ARGUMENTS, arguments);
    output(outputs, TYPES_OUTPUT_TOOL_CALL_END, (wasmlx_string_t){0});
    return true;
}

// Understands some of the pending text. Returns whether there may be more to understand.
static bool step(answer_t *answer, exports_template_list_output_t *outputs) {
    slice_t pending = slice_of(&answer->pending);
    switch (answer->state) {
    case START: {
        slice_t text = slice_trim_start(pending);
        if (slice_starts_with(text, THINK)) {
            string_drop(&answer->pending, pending.len - text.len + THINK.len);
            pass_marker(answer);
            answer->state = REASONING;
            return true;
        }
        if (slice_starts_with(THINK, text)) return false;
        answer->state = CONTENT;
        return true;
    }
    case REASONING:
        if (!say_until(answer, THINK_END, outputs)) return false;
        pass_marker(answer);
        answer->state = CONTENT;
        return true;
    case CONTENT:
        if (!answer->tools) {
            say(answer, pending, outputs);
            answer->pending.len = 0;
            return false;
        }
        if (!say_until(answer, CALL, outputs)) return false;
        answer->state = IN_CALL;
        return true;
    case IN_CALL: {
        size_t end = slice_find(pending, CALL_END);
        if (end == SIZE_MAX) return false;
        slice_t json = {pending.ptr, end};
        answer->state = CONTENT;
        if (say_call(json, outputs)) {
            pass_marker(answer);
        } else {
            say(answer, CALL, outputs);
            say(answer, json, outputs);
            say(answer, CALL_END, outputs);
        }
        string_drop(&answer->pending, end + CALL_END.len);
        return true;
    }
    }
    return false;
}

void answer_push(answer_t *answer, slice_t text, exports_template_list_output_t *outputs) {
    string_append(&answer->pending, text);
    while (step(answer, outputs)) {}
}

void answer_finish(answer_t *answer, exports_template_list_output_t *outputs) {
    if (answer->state == IN_CALL) {
        // It never ended, so it was none.
        answer->state = CONTENT;
        say(answer, CALL, outputs);
    }
    bool reasoning = answer->state == REASONING;
    say(answer, slice_of(&answer->pending), outputs);
    if (!reasoning && !answer->after_marker && answer->space.len > 0) {
        output(outputs, TYPES_OUTPUT_CONTENT, answer->space);
        answer->space = (wasmlx_string_t){0};
    }
    answer->pending.len = 0;
}
