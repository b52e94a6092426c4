// Min-p sampling (arXiv:2407.01082), by `step`: a token stays if it is at least `min_p` times as likely as the best
// one, and of those that stay one is drawn.
//
// Each call on the logits only adds to what the device will compute. Nothing is read, so `step` is over before the
// device has the scores, and the policy costs next to nothing.
//
// `wasmlx component build` writes wasmlx.h: the types and functions of the interfaces in WIT. Who owns what: strings
// and lists that a function is given are its own to free; what it returns must be on the heap, and the host frees it.

#include <stdio.h>
#include <stdlib.h>

#include "parameters.h"
#include "wasmlx.h"

// One request's policy.
struct exports_policy_policy_t {
    parameters_t parameters;
};

// Makes a sentence, which is on the heap, an error. Returns false, as functions that failed do.
static bool invalid_input(char *sentence, types_error_t *error) {
    error->tag = TYPES_ERROR_INVALID_INPUT;
    wasmlx_string_set(&error->val.invalid_input, sentence);
    return false;
}

// Not a plan, but what is wrong with the parameters is best said before the first token.
bool exports_policy_plan(wasmlx_string_t *params, exports_policy_option_list_op_t *plan, types_error_t *error) {
    parameters_t parameters;
    char *wrong = parameters_parse((const char *)params->ptr, params->len, &parameters);
    wasmlx_string_free(params);
    plan->is_some = false;
    return wrong == NULL || invalid_input(wrong, error);
}

bool exports_policy_static_policy_open(wasmlx_string_t *params, exports_policy_own_policy_t *policy,
                                       types_error_t *error) {
    parameters_t parameters;
    char *wrong = parameters_parse((const char *)params->ptr, params->len, &parameters);
    wasmlx_string_free(params);
    if (wrong != NULL) return invalid_input(wrong, error);
    exports_policy_policy_t *opened = malloc(sizeof *opened);
    if (opened == NULL) abort();
    opened->parameters = parameters;
    *policy = exports_policy_policy_new(opened);
    return true;
}

void exports_policy_policy_destructor(exports_policy_policy_t *policy) {
    free(policy);
}

uint32_t exports_policy_method_policy_max_backtrack(exports_policy_policy_t *policy) {
    return 0;
}

static bool choose(const parameters_t *parameters, logits_borrow_logits_t logits, logits_own_sampled_t *token,
                   types_error_t *error) {
    if (!logits_method_logits_min_p(logits, parameters->min_p, 1, error)) return false;
    if (parameters->temperature == 0) return logits_method_logits_argmax(logits, token, error);
    return logits_method_logits_scale(logits, 1 / parameters->temperature, error) &&
           logits_method_logits_sample(logits, token, error);
}

bool exports_policy_method_policy_step(exports_policy_policy_t *policy, exports_policy_step_info_t *info,
                                       logits_own_logits_t logits, exports_policy_choice_t *choice,
                                       types_error_t *error) {
    exports_policy_step_info_free(info);
    choice->tag = EXPORTS_POLICY_CHOICE_TOKEN;
    bool chosen = choose(&policy->parameters, logits_borrow_logits(logits), &choice->val.token, error);
    logits_logits_drop_own(logits);
    return chosen;
}

// There is nothing to save: all that a request knows is its parameters, which `restore` is given again.
void exports_policy_method_policy_save(exports_policy_policy_t *policy, types_saved_t *saved) {
    *saved = (types_saved_t){.version = 1};
}

bool exports_policy_static_policy_restore(wasmlx_string_t *params, types_saved_t *saved,
                                          exports_policy_own_policy_t *policy, types_error_t *error) {
    uint32_t version = saved->version;
    types_saved_free(saved);
    if (version == 1) return exports_policy_static_policy_open(params, policy, error);
    wasmlx_string_free(params);
    char *sentence;
    if (asprintf(&sentence, "min-p reads saved states of version 1, not %u", version) < 0) abort();
    return invalid_input(sentence, error);
}
