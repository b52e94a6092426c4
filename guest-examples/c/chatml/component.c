// ChatML: each message between <|im_start|> and <|im_end|>, with tools as Hermes describes and calls them.
//
// `wasmlx component build` writes wasmlx.h: the types and functions of the interfaces in WIT. Who owns what: strings
// and lists that a function is given are its own to free; what it returns must be on the heap, and the host frees it.

#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "json.h"
#include "text.h"
#include "wasmlx.h"

#define START SLICE("<|im_start|>")
#define END SLICE("<|im_end|>")
#define BEFORE_TOOLS SLICE("You may call tools. The tools are:\n<tools>\n")
#define AFTER_TOOLS \
    SLICE("</tools>\nTo call a tool, answer with <tool_call>{\"name\": NAME, \"arguments\": ARGUMENTS}</tool_call>")

// Adds to a prompt. Texts of one kind become one segment.
static void add(exports_template_list_segment_t *prompt, uint8_t kind, slice_t text) {
    if (text.len == 0) return;
    types_segment_t *last = prompt->len > 0 ? &prompt->ptr[prompt->len - 1] : NULL;
    if (last == NULL || last->tag != kind || kind == TYPES_SEGMENT_CONTROL) {
        prompt->ptr = realloc(prompt->ptr, (prompt->len + 1) * sizeof *prompt->ptr);
        if (prompt->ptr == NULL) abort();
        last = &prompt->ptr[prompt->len++];
        *last = (types_segment_t){.tag = kind};
    }
    string_append(&last->val.trusted, text);
}

// A special token, by its name.
static void control(exports_template_list_segment_t *prompt, slice_t name) {
    add(prompt, TYPES_SEGMENT_CONTROL, name);
}

// The template's own text.
static void trusted(exports_template_list_segment_t *prompt, slice_t text) {
    add(prompt, TYPES_SEGMENT_TRUSTED, text);
}

// Text that a caller supplied: a marker written in it stays text.
static void untrusted(exports_template_list_segment_t *prompt, slice_t text) {
    add(prompt, TYPES_SEGMENT_UNTRUSTED, text);
}

static void end(exports_template_list_segment_t *prompt) {
    control(prompt, END);
    trusted(prompt, SLICE("\n"));
}

static void contents(exports_template_list_segment_t *prompt, const types_message_t *message) {
    for (size_t at = 0; at < message->content.len; at += 1) {
        untrusted(prompt, slice_of(&message->content.ptr[at].val.text));
    }
}

// Describes the tools. Returns false, with the reason in `error`, where the parameters of one are no JSON.
static bool describe_tools(exports_template_list_segment_t *prompt, const types_list_tool_t *tools,
                           types_error_t *error) {
    trusted(prompt, BEFORE_TOOLS);
    for (size_t at = 0; at < tools->len; at += 1) {
        const types_tool_t *tool = &tools->ptr[at];
        slice_t parameters = slice_of(&tool->parameters);
        wasmlx_string_t json = {0};
        string_append(&json, SLICE("{\"type\": \"function\", \"function\": {\"name\": "));
        json_quote(slice_of(&tool->name), &json);
        string_append(&json, SLICE(", \"description\": "));
        json_quote(slice_of(&tool->description), &json);
        string_append(&json, SLICE(", \"parameters\": "));
        bool valid = json_respell(slice_trim(parameters).len == 0 ? SLICE("{}") : parameters, &json);
        string_append(&json, SLICE("}}"));
        untrusted(prompt, slice_of(&json));
        trusted(prompt, SLICE("\n"));
        free(json.ptr);
        if (!valid) {
            char *sentence;
            int length = (int)tool->name.len;
            if (asprintf(&sentence, "the parameters of tool `%.*s` are not JSON", length, tool->name.ptr) < 0) abort();
            error->tag = TYPES_ERROR_INVALID_INPUT;
            wasmlx_string_set(&error->val.invalid_input, sentence);
            return false;
        }
    }
    trusted(prompt, AFTER_TOOLS);
    return true;
}

// Writes a call as the model wrote it. What it wrote need not be JSON; then it is written as it is.
static void write_call(exports_template_list_segment_t *prompt, const types_tool_call_t *call) {
    trusted(prompt, SLICE("<tool_call>{\"name\": \""));
    untrusted(prompt, slice_of(&call->name));
    trusted(prompt, SLICE("\", \"arguments\": "));
    slice_t arguments = slice_trim(slice_of(&call->arguments));
    wasmlx_string_t spelt = {0}, text = {0};
    if (arguments.len == 0) {
        untrusted(prompt, SLICE("{}"));
    } else if (json_unquote(arguments, &text)) {
        untrusted(prompt, slice_of(&text));
    } else {
        untrusted(prompt, json_respell(arguments, &spelt) ? slice_of(&spelt) : slice_of(&call->arguments));
    }
    free(spelt.ptr);
    free(text.ptr);
    trusted(prompt, SLICE("}</tool_call>"));
}

static bool render(const types_conversation_t *conversation, exports_template_list_segment_t *prompt,
                   types_error_t *error) {
    if (conversation->context.is_some || conversation->documents.len > 0) {
        error->tag = TYPES_ERROR_INVALID_INPUT;
        wasmlx_string_dup(&error->val.invalid_input,
                          conversation->context.is_some
                              ? "this template takes no raw context: use the model's own, by the jinja template"
                              : "this template takes no documents: use the model's own, by the jinja template");
        return false;
    }
    const types_message_t *message = conversation->messages.ptr;
    const types_message_t *last = message + conversation->messages.len;
    const types_message_t *system = NULL;
    if (message < last && slice_equals(slice_of(&message->role), SLICE("system"))) system = message++;

    if (system != NULL || conversation->tools.len > 0) {
        control(prompt, START);
        trusted(prompt, SLICE("system\n"));
        if (system != NULL) contents(prompt, system);
        if (conversation->tools.len > 0) {
            if (system != NULL) trusted(prompt, SLICE("\n\n"));
            if (!describe_tools(prompt, &conversation->tools, error)) return false;
        }
        end(prompt);
    }
    for (; message < last; message += 1) {
        control(prompt, START);
        untrusted(prompt, slice_of(&message->role));
        trusted(prompt, SLICE("\n"));
        contents(prompt, message);
        if (slice_equals(slice_of(&message->role), SLICE("assistant"))) {
            for (size_t at = 0; at < message->tool_calls.len; at += 1) write_call(prompt, &message->tool_calls.ptr[at]);
        }
        end(prompt);
    }
    if (conversation->add_generation_prompt) {
        control(prompt, START);
        trusted(prompt, SLICE("assistant\n"));
    }
    return true;
}

// This template asks nothing of its configuration.
bool exports_template_configure(wasmlx_string_t *config, types_error_t *error) {
    wasmlx_string_free(config);
    return true;
}

bool exports_template_render(types_conversation_t *conversation, exports_template_list_segment_t *prompt,
                             types_error_t *error) {
    *prompt = (exports_template_list_segment_t){0};
    bool rendered = render(conversation, prompt, error);
    if (!rendered) exports_template_list_segment_free(prompt);
    types_conversation_free(conversation);
    return rendered;
}

void exports_template_stops(wasmlx_list_string_t *stops) {
    stops->ptr = calloc(1, sizeof *stops->ptr);
    if (stops->ptr == NULL) abort();
    stops->len = 1;
    string_append(&stops->ptr[0], END);
}

exports_template_own_parser_t exports_template_constructor_parser(types_answer_context_t *context) {
    answer_t *answer = answer_new(slice_of(&context->prompt_end), context->tools.len > 0);
    types_answer_context_free(context);
    return exports_template_parser_new(answer);
}

void exports_template_parser_destructor(answer_t *answer) {
    answer_free(answer);
}

void exports_template_method_parser_push(answer_t *answer, wasmlx_string_t *text,
                                         exports_template_list_output_t *outputs) {
    *outputs = (exports_template_list_output_t){0};
    answer_push(answer, slice_of(text), outputs);
    wasmlx_string_free(text);
}

void exports_template_method_parser_finish(answer_t *answer, exports_template_list_output_t *outputs) {
    *outputs = (exports_template_list_output_t){0};
    answer_finish(answer, outputs);
}
