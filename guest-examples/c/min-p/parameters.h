// What the policy can be told.

#pragma once

#include <stddef.h>

typedef struct {
    // A token stays if it is at least so many times as likely as the best: 0 to 1.
    float min_p;
    // The scores of those that stay are divided by it; 0 takes the best token.
    float temperature;
} parameters_t;

// Reads a JSON object such as {"min_p": 0.1, "temperature": 0.8}. Returns NULL, or a sentence on the heap that names
// the parameter that is wrong.
char *parameters_parse(const char *json, size_t length, parameters_t *parameters);
