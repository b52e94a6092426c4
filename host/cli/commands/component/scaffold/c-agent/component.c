// An agent that asks the model a question, its arguments, and prints the answer as it comes.
//
// `wasmlx component build` writes wasmlx.h: the types and functions of the interfaces in WIT. Who owns what: strings
// and lists that a function is given are its own to free; what it returns must be on the heap, and the host frees it.
// What a call of the host fails with is handed on as it is: the user is shown it as the reason why the agent failed.

#include <stdlib.h>
#include <string.h>

#include "wasmlx.h"

// The most tokens of an answer.
static const uint32_t TOKENS = 512;

static bool print(const char *text, types_error_t *error) {
    wasmlx_string_t string;
    wasmlx_string_set(&string, text);
    return console_print(&string, error);
}

// The arguments with spaces between them.
static wasmlx_string_t joined(const wasmlx_list_string_t *args) {
    size_t length = 0;
    for (size_t at = 0; at < args->len; at += 1) length += args->ptr[at].len + 1;
    wasmlx_string_t text = {malloc(length), 0};
    if (text.ptr == NULL) abort();
    for (size_t at = 0; at < args->len; at += 1) {
        if (at > 0) text.ptr[text.len++] = ' ';
        memcpy(text.ptr + text.len, args->ptr[at].ptr, args->ptr[at].len);
        text.len += args->ptr[at].len;
    }
    return text;
}

// Makes a context's prompt of a conversation that is one question, as the session's template writes it.
static bool ask(contexts_borrow_context_t context, wasmlx_string_t question, types_error_t *error) {
    types_part_t part = {.tag = TYPES_PART_TEXT, .val.text = question};
    types_message_t message = {.content = {&part, 1}};
    wasmlx_string_set(&message.role, "user");
    types_conversation_t conversation = {.messages = {&message, 1}, .add_generation_prompt = true};
    wasmlx_string_set(&conversation.options, "{}");
    templates_list_segment_t prompt;
    if (!templates_render(&conversation, &prompt, error)) return false;
    // Each interface has list types of its own, which are all alike.
    contexts_list_segment_t segments = {prompt.ptr, prompt.len};
    contexts_prompt_info_t info;
    bool read = contexts_method_context_prompt(context, &segments, &info, error);
    templates_list_segment_free(&prompt);
    return read;
}

// Prints what an event says; `said` is whether there was anything so far.
static bool show(const contexts_generation_event_t *event, bool *said, types_error_t *error) {
    if (event->tag == CONTEXTS_GENERATION_EVENT_FINISHED) {
        if (*said) return print(event->val.finished.reason == TYPES_FINISH_REASON_LENGTH ? " [cut]\n" : "\n", error);
        error->tag = TYPES_ERROR_MODEL_FAILED;
        wasmlx_string_dup(&error->val.model_failed, "the model said nothing");
        return false;
    }
    types_output_t output = event->val.output;
    // Reasoning is not for the user, and no tool was offered.
    if (output.tag != TYPES_OUTPUT_CONTENT) return true;
    *said = true;
    return console_print(&output.val.content, error);
}

// Prints the model's answer as it comes.
static bool answer(contexts_borrow_generation_t generation, types_error_t *error) {
    bool said = false;
    while (true) {
        contexts_option_generation_event_t event;
        if (!contexts_method_generation_next(generation, &event, error)) return false;
        if (!event.is_some) return true;
        bool shown = show(&event.val, &said, error);
        contexts_generation_event_free(&event.val);
        if (!shown) return false;
    }
}

bool exports_wasmlx_run(wasmlx_list_string_t *args, types_error_t *error) {
    if (args->len == 0) {
        wasmlx_list_string_free(args);
        error->tag = TYPES_ERROR_INVALID_INPUT;
        wasmlx_string_dup(&error->val.invalid_input, "usage: QUESTION");
        return false;
    }
    wasmlx_string_t question = joined(args);
    wasmlx_list_string_free(args);
    contexts_own_context_t context;
    bool done = contexts_open(NULL, &context, error);
    if (done) {
        contexts_generate_options_t options = {.max_tokens = {.is_some = true, .val = TOKENS}};
        contexts_own_generation_t generation;
        done = ask(contexts_borrow_context(context), question, error) &&
               contexts_method_context_generate(contexts_borrow_context(context), &options, &generation, error);
        if (done) {
            done = answer(contexts_borrow_generation(generation), error);
            // Before the context, which it must not outlive.
            contexts_generation_drop_own(generation);
        }
        contexts_context_drop_own(context);
    }
    wasmlx_string_free(&question);
    return done;
}
