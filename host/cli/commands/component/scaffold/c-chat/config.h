// What the user may set.

#pragma once

#include "text.h"
#include "wasmlx.h"

typedef struct {
    // For the template: a JSON object such as {"enable_thinking": false}.
    wasmlx_string_t options;
    contexts_generate_options_t generate;
} config_t;

// Reads a JSON object, everything in it optional. Returns false, and leaves nothing to free, where it cannot be used.
bool config_parse(slice_t json, config_t *config);

void config_free(config_t *config);
