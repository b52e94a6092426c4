// The plain loop: a turn renders the history through the session's template, lets the model answer, and streams the answer
// as events. It offers the model no tools.
//
// `wasmlx component build` writes wasmlx.h: the types and functions of the interfaces in WIT. Who owns what: strings
// and lists that a function is given are its own to free; what it returns must be on the heap, and the host frees it.
// What a call of the host fails with is handed on as it is.

#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "text.h"
#include "turn.h"
#include "wasmlx.h"

// What lasts from turn to turn.
struct exports_chat_conversation_t {
    config_t config;
    // One context serves all turns: of a prompt that begins as the last one did, the host reads only what is new.
    bool has_context;
    contexts_own_context_t context;
};

bool exports_chat_static_conversation_open(wasmlx_string_t *config, exports_chat_own_conversation_t *conversation,
                                           types_error_t *error) {
    exports_chat_conversation_t *opened = calloc(1, sizeof *opened);
    if (opened == NULL) abort();
    bool usable = config_parse(slice_of(config), &opened->config);
    wasmlx_string_free(config);
    if (!usable) {
        free(opened);
        error->tag = TYPES_ERROR_INVALID_INPUT;
        wasmlx_string_dup(&error->val.invalid_input, "the chat's configuration cannot be used");
        return false;
    }
    *conversation = exports_chat_conversation_new(opened);
    return true;
}

void exports_chat_conversation_destructor(exports_chat_conversation_t *conversation) {
    if (conversation->has_context) contexts_context_drop_own(conversation->context);
    config_free(&conversation->config);
    free(conversation);
}

// The history as a prompt in the session's context. Each interface has list types of its own, which are all alike.
static bool read_history(exports_chat_conversation_t *conversation, types_error_t *error) {
    history_list_message_t messages;
    history_messages(0, &messages);
    types_conversation_t rendered = {
        .messages = {messages.ptr, messages.len},
        .add_generation_prompt = true,
        .options = conversation->config.options,
    };
    templates_list_segment_t prompt;
    bool done = templates_render(&rendered, &prompt, error);
    history_list_message_free(&messages);
    if (!done) return false;

    if (!conversation->has_context) {
        conversation->has_context = contexts_open(NULL, &conversation->context, error);
    }
    contexts_list_segment_t segments = {prompt.ptr, prompt.len};
    contexts_prompt_info_t info;
    done = conversation->has_context &&
           contexts_method_context_prompt(contexts_borrow_context(conversation->context), &segments, &info, error);
    templates_list_segment_free(&prompt);
    return done;
}

bool exports_chat_method_conversation_send(exports_chat_conversation_t *conversation, exports_chat_own_turn_t *turn,
                                           types_error_t *error) {
    if (!read_history(conversation, error)) return false;
    contexts_borrow_context_t context = contexts_borrow_context(conversation->context);
    contexts_own_generation_t generation;
    if (!contexts_method_context_generate(context, &conversation->config.generate, &generation, error)) return false;
    *turn = exports_chat_turn_new(turn_new(generation));
    return true;
}

// There is nothing to save: the host keeps the history.
void exports_chat_method_conversation_save(exports_chat_conversation_t *conversation, types_saved_t *saved) {
    *saved = (types_saved_t){.version = 1};
}

bool exports_chat_static_conversation_restore(wasmlx_string_t *config, types_saved_t *saved,
                                              exports_chat_own_conversation_t *conversation, types_error_t *error) {
    uint32_t version = saved->version;
    types_saved_free(saved);
    if (version == 1) return exports_chat_static_conversation_open(config, conversation, error);
    wasmlx_string_free(config);
    char *sentence;
    if (asprintf(&sentence, "this chat reads saved states of version 1, not %u", version) < 0) abort();
    error->tag = TYPES_ERROR_INVALID_INPUT;
    wasmlx_string_set(&error->val.invalid_input, sentence);
    return false;
}

void exports_chat_turn_destructor(turn_t *turn) {
    turn_free(turn);
}

bool exports_chat_method_turn_next(turn_t *turn, exports_chat_option_event_t *event, types_error_t *error) {
    exports_chat_list_event_t events;
    if (!turn_next_batch(turn, 1, &events, error)) return false;
    event->is_some = events.len > 0;
    if (event->is_some) event->val = events.ptr[0];
    free(events.ptr);
    return true;
}

bool exports_chat_method_turn_next_batch(turn_t *turn, uint32_t max, exports_chat_list_event_t *events,
                                         types_error_t *error) {
    return turn_next_batch(turn, max, events, error);
}
