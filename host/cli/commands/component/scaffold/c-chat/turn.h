// One turn: the model's answer to the history's last messages.

#pragma once

#include "wasmlx.h"

typedef struct exports_chat_turn_t turn_t;

turn_t *turn_new(contexts_own_generation_t generation);

void turn_free(turn_t *turn);

// The next events, which are the caller's. Returns false, with the reason in `error`, where the model failed.
bool turn_next_batch(turn_t *turn, uint32_t max, exports_chat_list_event_t *events, types_error_t *error);
