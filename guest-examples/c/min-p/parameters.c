// Reads a flat JSON object of numbers. The host gives well-formed JSON; anything but a number in it is refused here.

#include "parameters.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *sentence(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text;
    if (vasprintf(&text, format, arguments) < 0) abort();
    va_end(arguments);
    return text;
}

// Passes white space and then a character, if it is there.
static bool accept(const char **at, char wanted) {
    *at += strspn(*at, " \t\r\n");
    if (**at != wanted) return false;
    *at += 1;
    return true;
}

// Passes a string, and gives its characters between the quotes.
static bool string(const char **at, const char **text, int *length) {
    if (!accept(at, '"')) return false;
    *text = *at;
    for (; **at != '"'; *at += 1) {
        if (**at == '\\') *at += 1;
        if (**at == '\0') return false;
    }
    *length = (int)(*at - *text);
    *at += 1;
    return true;
}

// Passes `"name": number` and stores the number. Returns NULL, or what is wrong.
static char *field(const char **at, parameters_t *parameters) {
    const char *name;
    int length;
    if (!string(at, &name, &length) || !accept(at, ':')) return sentence("the parameters must be a JSON object");

    float *parameter;
    double most;
    if (length == 5 && memcmp(name, "min_p", 5) == 0) {
        parameter = &parameters->min_p;
        most = 1;
    } else if (length == 11 && memcmp(name, "temperature", 11) == 0) {
        parameter = &parameters->temperature;
        most = 100;
    } else {
        return sentence("`%.*s` is not a parameter of this policy; it has min_p and temperature", length, name);
    }

    char *end;
    double number = strtod(*at, &end);
    if (end == *at || !(number >= 0 && number <= most)) {
        return sentence("`%.*s` must be a number from 0 to %.0f", length, name, most);
    }
    *parameter = (float)number;
    *at = end;
    return NULL;
}

static char *parse(const char *at, parameters_t *parameters) {
    if (!accept(&at, '{')) return sentence("the parameters must be a JSON object");
    if (accept(&at, '}')) return NULL;
    do {
        char *wrong = field(&at, parameters);
        if (wrong != NULL) return wrong;
    } while (accept(&at, ','));
    return accept(&at, '}') ? NULL : sentence("the parameters must be a JSON object");
}

char *parameters_parse(const char *json, size_t length, parameters_t *parameters) {
    *parameters = (parameters_t){.min_p = 0.1f, .temperature = 1};
    // Ends with a zero, as strings of C do and those of the interfaces do not.
    char *text = strndup(json, length);
    if (text == NULL) abort();
    char *wrong = parse(text, parameters);
    free(text);
    return wrong;
}
