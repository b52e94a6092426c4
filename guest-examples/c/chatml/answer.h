// Reads a model's answer as it streams in: what is content, what is reasoning, what is a call of a tool.

#pragma once

#include "text.h"

// The reader of one answer, which is what the interfaces call a parser.
typedef struct exports_template_parser_t answer_t;

// The reader of an answer to a prompt that ends so; `tools`: whether the model was offered any.
answer_t *answer_new(slice_t prompt_end, bool tools);

void answer_free(answer_t *answer);

// The next piece of the text: appends what it makes certain.
void answer_push(answer_t *answer, slice_t text, exports_template_list_output_t *outputs);

// The text is at its end: appends what was held back.
void answer_finish(answer_t *answer, exports_template_list_output_t *outputs);
