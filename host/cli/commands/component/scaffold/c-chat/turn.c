// One turn: the model's answer to the history's last messages.

#include "turn.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

struct exports_chat_turn_t {
    contexts_own_generation_t generation;
    wasmlx_string_t content;
    wasmlx_string_t reasoning;
    // Events that have happened and were not fetched yet.
    exports_chat_list_event_t events;
    bool over;
};

turn_t *turn_new(contexts_own_generation_t generation) {
    turn_t *turn = calloc(1, sizeof *turn);
    if (turn == NULL) abort();
    turn->generation = generation;
    return turn;
}

void turn_free(turn_t *turn) {
    contexts_generation_drop_own(turn->generation);
    wasmlx_string_free(&turn->content);
    wasmlx_string_free(&turn->reasoning);
    exports_chat_list_event_free(&turn->events);
    free(turn);
}

static void tell(turn_t *turn, exports_chat_event_t event) {
    exports_chat_list_event_t *events = &turn->events;
    events->ptr = realloc(events->ptr, (events->len + 1) * sizeof event);
    if (events->ptr == NULL) abort();
    events->ptr[events->len] = event;
    events->len += 1;
}

// Adds to the message and tells of it. The text of an event lies in the same place, content or reasoning.
static void say(turn_t *turn, uint8_t tag, wasmlx_string_t *message, const wasmlx_string_t *text) {
    wasmlx_string_t copy = {0};
    string_append(&copy, slice_of(text));
    string_append(message, slice_of(text));
    tell(turn, (exports_chat_event_t){.tag = tag, .val.content = copy});
}

// The answer is complete, or as complete as it gets: a cut one belongs in the history too, since it was shown.
static bool finish(turn_t *turn, const contexts_finish_t *finished, types_error_t *error) {
    types_part_t part = {.tag = TYPES_PART_TEXT, .val.text = turn->content};
    types_message_t message = {
        .content = {.ptr = &part, .len = turn->content.len > 0},
        .reasoning = {.is_some = turn->reasoning.len > 0, .val = turn->reasoning},
    };
    wasmlx_string_set(&message.role, "assistant");
    if (!history_append(&message, error)) return false;
    tell(turn, (exports_chat_event_t){.tag = EXPORTS_CHAT_EVENT_USAGE, .val.usage = finished->usage});
    tell(turn, (exports_chat_event_t){.tag = EXPORTS_CHAT_EVENT_DONE, .val.done = finished->reason});
    turn->over = true;
    return true;
}

static bool take(turn_t *turn, const contexts_generation_event_t *event, types_error_t *error) {
    if (event->tag == CONTEXTS_GENERATION_EVENT_FINISHED) return finish(turn, &event->val.finished, error);
    const types_output_t *output = &event->val.output;
    if (output->tag == TYPES_OUTPUT_CONTENT) {
        say(turn, EXPORTS_CHAT_EVENT_CONTENT, &turn->content, &output->val.content);
    } else if (output->tag == TYPES_OUTPUT_REASONING) {
        say(turn, EXPORTS_CHAT_EVENT_REASONING, &turn->reasoning, &output->val.reasoning);
    }
    // No tool was offered: what looks like a call of one is nothing to act on.
    return true;
}

bool turn_next_batch(turn_t *turn, uint32_t max, exports_chat_list_event_t *events, types_error_t *error) {
    if (max == 0) {
        error->tag = TYPES_ERROR_INVALID_INPUT;
        wasmlx_string_dup(&error->val.invalid_input, "a batch has at least one event: none is the end");
        return false;
    }
    contexts_borrow_generation_t generation = contexts_borrow_generation(turn->generation);
    while (turn->events.len == 0 && !turn->over) {
        contexts_list_generation_event_t batch;
        if (!contexts_method_generation_next_batch(generation, max, &batch, error)) return false;
        size_t count = batch.len;
        bool taken = true;
        for (size_t at = 0; at < count && taken; at += 1) taken = take(turn, &batch.ptr[at], error);
        contexts_list_generation_event_free(&batch);
        if (!taken) return false;
        if (count == 0) {
            error->tag = TYPES_ERROR_MODEL_FAILED;
            wasmlx_string_dup(&error->val.model_failed, "the answer broke off without a reason");
            return false;
        }
    }
    size_t count = max < turn->events.len ? max : turn->events.len;
    *events = (exports_chat_list_event_t){0};
    if (count == 0) return true;
    events->ptr = malloc(count * sizeof *events->ptr);
    if (events->ptr == NULL) abort();
    events->len = count;
    memcpy(events->ptr, turn->events.ptr, count * sizeof *events->ptr);
    turn->events.len -= count;
    memmove(turn->events.ptr, turn->events.ptr + count, turn->events.len * sizeof *events->ptr);
    return true;
}
