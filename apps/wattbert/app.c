// SPDX-License-Identifier: Apache-2.0
// How every command reads its options and says what went wrong. A command describes its
// options in a table; --help is printed from the same table, so the two cannot differ.
#include "app.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int app_fail(int exit_code, const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    // Scripts read errors line by line, and an argument may hold anything.
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    fprintf(stderr, "wattbert: %s\n", message);
    return exit_code;
}

static int exit_code_of(wb_status status) {
    switch (status) {
        case WB_OK: return EXIT_OK;
        case WB_ERR_IO:
        case WB_ERR_FORMAT:
        case WB_ERR_MODEL:
        case WB_ERR_ARGUMENT: return EXIT_INPUT;
        default: return EXIT_MACHINE;
    }
}

int app_fail_error(const wb_error *err, const char *hint) {
    const int code = exit_code_of(err->status);
    if (hint) return app_fail(code, "%s, %s", err->message, hint);
    return app_fail(code, "%s", err->message);
}

wb_status app_advise_file(wb_status status, wb_error *err) {
    if (!err || (status != WB_ERR_IO && status != WB_ERR_DENIED)) return status;
    const wb_error problem = *err;
    return wb_fail(err, status, problem.offset, "%s, give a file that can be read",
                   problem.message);
}

int app_finish(int exit_code) {
    // A full disk or a closed pipe shows only when the last buffer is written.
    const bool is_written = fflush(stdout) == 0 && !ferror(stdout);
    if (!is_written && exit_code == EXIT_OK)
        return app_fail(EXIT_MACHINE, "standard output: %s, its text is incomplete",
                        strerror(errno));
    return exit_code;
}

// ---- Lists ------------------------------------------------------------------

void app_list_free(app_list *list) {
    for (int i = 0; i < list->n_items; i++) wb_free((void *)(uintptr_t)list->items[i]);
    wb_free(list->items);
    *list = (app_list){0};
}

static bool list_add(app_list *list, const char *text, size_t n_bytes) {
    char *copy = wb_string_copy(text, n_bytes);
    const size_t n = (size_t)list->n_items;
    const char **items = copy ? wb_realloc_array(list->items, n, n + 1, sizeof *items) : NULL;
    if (!items) {
        wb_free(copy);
        return false;
    }
    items[n] = copy;
    list->items = items;
    list->n_items++;
    return true;
}

// Adds the parts of "a,b,c"; empty parts are left out.
static bool list_add_parts(app_list *list, const char *text) {
    while (*text) {
        const size_t n_bytes = strcspn(text, ",");
        if (n_bytes > 0 && !list_add(list, text, n_bytes)) return false;
        text += n_bytes;
        if (*text == ',') text++;
    }
    return true;
}

// ---- Help -------------------------------------------------------------------

enum { HELP_COLUMN = 28, HELP_WIDTH = 96 };

// Prints text in words, each line after the first indented; column is where the first begins.
static void print_wrapped(const char *text, int indent) {
    int column = indent;
    while (*text) {
        const size_t n_bytes = strcspn(text, " ");
        if (column > indent && column + 1 + (int)n_bytes > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        if (column > indent) column += printf(" ");
        column += printf("%.*s", (int)n_bytes, text);
        text += n_bytes;
        text += strspn(text, " ");
    }
    printf("\n");
}

static void print_option(const char *name, const char *argument, const char *help) {
    int column = printf("  --%s", name);
    if (argument) column += printf(" %s", argument);
    if (column >= HELP_COLUMN)
        printf("\n%*s", HELP_COLUMN, "");
    else
        printf("%*s", HELP_COLUMN - column, "");
    print_wrapped(help, HELP_COLUMN);
}

static void print_usage(const app_usage *usage) {
    printf("Usage: wattbert %s\n\n%s", usage->synopsis, usage->text);
    const size_t n_bytes = strlen(usage->text);
    if (n_bytes == 0 || usage->text[n_bytes - 1] != '\n') printf("\n");
    printf("\nOptions\n");
    for (int i = 0; i < usage->n_options; i++)
        print_option(usage->options[i].name, usage->options[i].argument, usage->options[i].help);
    print_option("help", NULL, "print this and exit");
}

// ---- Parsing ----------------------------------------------------------------

// The command's name is the synopsis' first word.
static int command_length(const app_usage *usage) {
    return (int)strcspn(usage->synopsis, " ");
}

static int fail_usage(const app_usage *usage, const char *what, const char *where) {
    const int length = command_length(usage);
    return app_fail(EXIT_USAGE, "%.*s: %s %s, see wattbert %.*s --help", length, usage->synopsis,
                    what, where, length, usage->synopsis);
}

static int fail_value(const app_usage *usage, const app_option *option, const char *value) {
    char range[96] = "";
    if (option->low != 0.0 || option->high != 0.0)
        snprintf(range, sizeof range, " from %g to %g", option->low, option->high);
    return app_fail(EXIT_USAGE, "%.*s: --%s is \"%s\", give a%s number%s", command_length(usage),
                    usage->synopsis, option->name, value, option->kind == APP_INT ? " whole" : "",
                    range);
}

static bool is_in_range(const app_option *option, double value) {
    if (option->low == 0.0 && option->high == 0.0) return true;
    return value >= option->low && value <= option->high;
}

static bool parse_int(const app_option *option, const char *text) {
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value != (int)value || !is_in_range(option, (double)value))
        return false;
    *(int *)option->target = (int)value;
    return true;
}

static bool parse_double(const app_option *option, const char *text) {
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || !is_in_range(option, value)) return false;
    *(double *)option->target = value;
    return true;
}

// Stores value where the option wants it. Returns -1, or the exit code.
static int store(const app_usage *usage, const app_option *option, const char *value) {
    switch (option->kind) {
        case APP_FLAG: *(bool *)option->target = true; return -1;
        case APP_STRING: *(const char **)option->target = value; return -1;
        case APP_INT: return parse_int(option, value) ? -1 : fail_value(usage, option, value);
        case APP_DOUBLE: return parse_double(option, value) ? -1 : fail_value(usage, option, value);
        case APP_LIST:
            if (list_add_parts(option->target, value)) return -1;
            return app_fail(EXIT_MACHINE, "--%s: no memory for its list", option->name);
    }
    return -1;
}

static const app_option *find_option(const app_usage *usage, const char *name, size_t n_bytes) {
    for (int i = 0; i < usage->n_options; i++) {
        const char *known = usage->options[i].name;
        if (strlen(known) == n_bytes && memcmp(known, name, n_bytes) == 0)
            return &usage->options[i];
    }
    return NULL;
}

// Takes the option at argv[*at] and its value; *at is left on the last word used.
static int parse_option(const app_usage *usage, int argc, char **argv, int *at) {
    const char *word = argv[*at];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_usage(usage);
        return EXIT_OK;
    }
    const size_t n_bytes = strncmp(word, "--", 2) == 0 ? strcspn(word + 2, "=") : 0;
    const app_option *option = n_bytes > 0 ? find_option(usage, word + 2, n_bytes) : NULL;
    if (!option) return fail_usage(usage, "there is no option", word);
    const bool has_value = word[2 + n_bytes] == '=';
    if (option->kind == APP_FLAG)
        return has_value ? fail_usage(usage, "no value may follow", word)
                         : store(usage, option, NULL);
    if (has_value) return store(usage, option, word + 3 + n_bytes);
    if (*at + 1 >= argc) return fail_usage(usage, "a value is missing after", word);
    *at += 1;
    return store(usage, option, argv[*at]);
}

int app_parse(const app_usage *usage, int argc, char **argv, char ***positional,
              int *n_positional) {
    *positional = argv;
    *n_positional = 0;
    bool has_ended = false;
    for (int i = 1; i < argc; i++) {
        // "-" alone stands for standard input.
        const bool is_option = !has_ended && argv[i][0] == '-' && argv[i][1] != 0;
        if (is_option && strcmp(argv[i], "--") == 0) {
            has_ended = true;
        } else if (is_option) {
            const int code = parse_option(usage, argc, argv, &i);
            if (code >= 0) return code;
        } else {
            argv[(*n_positional)++] = argv[i];
        }
    }
    return -1;
}
