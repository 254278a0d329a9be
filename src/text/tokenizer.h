// SPDX-License-Identifier: Apache-2.0
// Text to token ids, equal to Hugging Face's fast BERT tokenizer: special tokens are
// found in the raw text, then normalization (clean, Chinese, accents, case),
// splitting at white space and punctuation, greedy longest-match WordPiece,
// longest-first truncation, [CLS] a [SEP] or [CLS] a [SEP] b [SEP].
#ifndef WB_TOKENIZER_H
#define WB_TOKENIZER_H

#include "base/base.h"

typedef struct wb_tokenizer wb_tokenizer;

// *out <- the tokenizer of a model folder: tokenizer.json where there is one, else vocab.txt;
// tokenizer_config.json (may be missing) gives do_lower_case, strip_accents,
// tokenize_chinese_chars, special tokens, model_max_length. Never changes after open:
// encode from any number of threads.
//   WB_ERR_IO, WB_ERR_FORMAT (with offset or line), WB_ERR_MODEL (no [UNK], [CLS] or [SEP]),
//   WB_ERR_MEMORY
wb_status wb_tokenizer_open(wb_tokenizer **out, const char *dir, wb_error *err);
void wb_tokenizer_close(wb_tokenizer *tokenizer);

int wb_tokenizer_size(const wb_tokenizer *tokenizer);        // ids are in [0, size)
int wb_tokenizer_max_length(const wb_tokenizer *tokenizer);  // model_max_length; 0 where not stated

// ids[*n_ids] <- text, or the pair where pair is not NULL, truncated to max_length >= 3 tokens (a
// smaller one is WB_ERR_ARGUMENT). ids holds max_length. A word is cut into pieces of at most
// its bytes; memory is O(text), freed before return; WB_ERR_MEMORY.
wb_status wb_tokenizer_encode(const wb_tokenizer *tokenizer, const char *text, size_t n_bytes,
                              const char *pair, size_t pair_bytes, int max_length, int32_t *ids,
                              int *n_ids, wb_error *err);

#endif
