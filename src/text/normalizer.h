// SPDX-License-Identifier: Apache-2.0
// Hugging Face's BertNormalizer: clean, space out Chinese, strip accents, lower, in that order.
// The options are compiled into one table from code point to what is written, so that a text is
// walked once.
#ifndef WB_TEXT_NORMALIZER_H
#define WB_TEXT_NORMALIZER_H

#include "base/base.h"

typedef struct wb_normalizer wb_normalizer;

typedef struct wb_normalizer_options {
    bool clean_text;     // drop control characters and U+FFFD, white space becomes ' '
    bool chinese_chars;  // spaces around every Chinese character
    bool strip_accents;  // decompose, drop nonspacing marks
    bool lowercase;
} wb_normalizer_options;

// *out <- a normalizer; never changes after open. About 100 kB. WB_ERR_MEMORY.
wb_status wb_normalizer_open(wb_normalizer **out, const wb_normalizer_options *options,
                             wb_error *err);
void wb_normalizer_close(wb_normalizer *normalizer);

// How many bytes of *out the next function may touch for n_bytes of text, at most 6 n_bytes + 16.
size_t wb_normalizer_capacity(size_t n_bytes);

// out[returned] <- text normalized: valid UTF-8 whatever the text. for_words writes ' ' for every
// white space and puts spaces around punctuation outside ASCII as well, so that only ' ' and ASCII
// punctuation are left to split at; otherwise out is exactly what Hugging Face's normalizer gives.
size_t wb_normalizer_apply(const wb_normalizer *normalizer, const uint8_t *text, size_t n_bytes,
                           bool for_words, uint8_t *out);

#endif
