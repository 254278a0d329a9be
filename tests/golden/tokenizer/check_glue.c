// SPDX-License-Identifier: Apache-2.0
// Every text of GLUE's files, alone and in pairs, at several lengths: the digest of all ids so far
// is compared every 1,000 texts. Needs the shared data folder, else it is skipped.
#include "golden.h"
#include "text/tokenizer.h"

enum { MAX_LENGTH = 512, MAX_COLUMNS = 16 };

// One section of glue.tsv: which texts of which file, and the digest being computed.
typedef struct section {
    char name[128];
    int n_header, columns[2], n_columns, max_length;
    wb_file file;
    size_t at;  // the next line
    long n_texts, n_ids;
    uint32_t crc;
} section;

static bool parse_section(const char *line, section *s) {
    *s = (section){.columns = {-1, -1}};
    if (sscanf(line, "%127[^\t]\t%d\t%d,%d\t%d", s->name, &s->n_header, &s->columns[0],
               &s->columns[1], &s->max_length) == 5)
        s->n_columns = 2;
    else if (sscanf(line, "%127[^\t]\t%d\t%d\t%d", s->name, &s->n_header, &s->columns[0],
                    &s->max_length) == 4)
        s->n_columns = 1;
    return s->n_columns > 0 && s->max_length <= MAX_LENGTH;
}

typedef struct cell {
    const char *text;
    size_t n_bytes;
} cell;

// The cells of the next line that is not empty; false at the end of the file.
static bool next_line(section *s, cell cells[MAX_COLUMNS]) {
    const char *data = (const char *)s->file.data;
    while (s->at < s->file.n_bytes) {
        const char *line = data + s->at;
        const char *newline = memchr(line, '\n', s->file.n_bytes - s->at);
        const char *end = newline ? newline : data + s->file.n_bytes;
        s->at = (size_t)(end - data) + 1;
        if (end == line) continue;
        for (int i = 0; i < MAX_COLUMNS; i++) {
            const char *tab = memchr(line, '\t', (size_t)(end - line));
            const char *stop = tab ? tab : end;
            cells[i] = (cell){line, (size_t)(stop - line)};
            line = tab ? tab + 1 : end;
        }
        return true;
    }
    return false;
}

static bool open_section(section *s) {
    char name[256], path[4096];
    snprintf(name, sizeof name, "glue/%s", s->name);
    wb_error err;
    if (!golden_find_shared(path, sizeof path, name)) return false;
    if (wb_file_map(&s->file, path, &err)) {
        printf("%s\n", err.message);
        return false;
    }
    cell unused[MAX_COLUMNS];
    for (int i = 0; i < s->n_header; i++) next_line(s, unused);
    return true;
}

// Encodes on until n_texts are done.
static bool advance(const wb_tokenizer *tokenizer, const golden_crc *crc, section *s,
                    long n_texts) {
    cell cells[MAX_COLUMNS];
    int32_t ids[MAX_LENGTH];
    while (s->n_texts < n_texts) {
        if (!next_line(s, cells)) return false;
        const cell a = cells[s->columns[0]];
        const cell b = s->n_columns == 2 ? cells[s->columns[1]] : (cell){0};
        int n_ids;
        if (wb_tokenizer_encode(tokenizer, a.text, a.n_bytes, b.text, b.n_bytes, s->max_length, ids,
                                &n_ids, NULL))
            return false;
        s->crc = golden_crc_add_ids(crc, s->crc, ids, n_ids);
        s->n_ids += n_ids;
        s->n_texts++;
    }
    return true;
}

// Returns the number of sections that differ, -1 when the digests cannot be read.
static int check_all(FILE *digests, const wb_tokenizer *tokenizer) {
    const golden_crc crc = golden_crc_make();
    section s = {0};
    bool is_wrong = false;
    int n_wrong = 0;
    long n_texts = 0;
    char line[512];
    while (golden_read_line(digests, line, sizeof line)) {
        long until, n_ids;
        uint32_t expected;
        if (strchr(line, '/')) {
            wb_file_close(&s.file);
            if (!parse_section(line, &s) || !open_section(&s)) return -1;
            is_wrong = false;
        } else if (sscanf(line, "%ld\t%ld\t%x", &until, &n_ids, &expected) != 3) {
            return -1;
        } else if (!is_wrong) {
            const long before = s.n_texts;
            const bool is_done = advance(tokenizer, &crc, &s, until);
            n_texts += s.n_texts - before;
            if (is_done && s.n_ids == n_ids && s.crc == expected) continue;
            is_wrong = true;
            n_wrong++;
            printf(
                "%s, max_length %d: texts %ld to %ld: %ld ids so far, want %ld; digest %08x, want "
                "%08x\n",
                s.name, s.max_length, before + 1, until, s.n_ids, n_ids, s.crc, expected);
        }
    }
    wb_file_close(&s.file);
    printf("%ld texts and pairs checked, %d sections differ\n", n_texts, n_wrong);
    return n_texts > 0 ? n_wrong : -1;
}

int main(void) {
    char path[4096];
    if (!golden_find_shared(path, sizeof path, "glue") ||
        !golden_find_shared(path, sizeof path, "models/parts"))
        return GOLDEN_SKIPPED;
    wb_tokenizer *tokenizer;
    wb_error err;
    if (wb_tokenizer_open(&tokenizer, path, &err)) {
        printf("%s\n", err.message);
        return 1;
    }
    FILE *digests = fopen(WB_SOURCE_DIR "/tests/golden/tokenizer/glue.tsv", "r");
    const int n_wrong = digests ? check_all(digests, tokenizer) : -1;
    if (digests) fclose(digests);
    wb_tokenizer_close(tokenizer);
    return n_wrong != 0;
}
