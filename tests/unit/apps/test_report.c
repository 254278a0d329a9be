// SPDX-License-Identifier: Apache-2.0
// The report as files: complete with and without gnuplot, one page that needs nothing else, and
// never fooled by what a CSV file says. WATTBERT_REWRITE=1 rewrites the expected tables.
#include "report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "report/figures.h"
#include "report/page.h"

#define SAMPLE_DIR WB_SOURCE_DIR "/tests/golden/report"

static const char *const sample[] = {SAMPLE_DIR "/results.csv"};

// A folder of its own for each test, and the report written there.
typedef struct fixture {
    char dir[64], out[96];
    char *page;  // report.html
} fixture;

static char *read_all(const char *path) {
    wb_file file;
    wb_error err;
    if (wb_file_read(&file, path, 64 << 20, &err)) fail_msg("%s", err.message);
    char *text = strdup((const char *)file.data);
    wb_file_close(&file);
    return text;
}

static void write_report(fixture *f, const char *const *csv_paths) {
    char path[128];
    assert_int_equal(report_write(csv_paths, 1, f->out), 0);
    snprintf(path, sizeof path, "%s/report.html", f->out);
    free(f->page);
    f->page = read_all(path);
}

static int open_fixture(void **state) {
    fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/test_report_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->out, sizeof f->out, "%s/a/b", f->dir);  // folders are made
    *state = f;
    return 0;
}

static void remove_file(const fixture *f, const char *format, const char *name) {
    char path[256], file[128];
    snprintf(file, sizeof file, format, name);
    snprintf(path, sizeof path, "%s%s", f->dir, file);
    remove(path);
}

static int close_fixture(void **state) {
    fixture *f = *state;
    static const char *const forms[] = {"%s.gp", "%s.svg", "%s.png", "%s-narrow.svg"};
    for (int i = 0; figure_at(i); i++)
        for (int j = 0; j < 4; j++) {
            char format[64];
            snprintf(format, sizeof format, "/a/b/figures/%s", forms[j]);
            remove_file(f, format, figure_at(i)->name);
        }
    static const char *const rest[] = {"/a/b/figures", "/a/b/report.html", "/a/b",     "/a",
                                       "/x.csv",       "/power.csv",       "/gnuplot", ""};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) remove_file(f, "%s", rest[i]);
    assert_int_not_equal(access(f->dir, F_OK), 0);  // nothing else was written
    free(f->page);
    free(f);
    return 0;
}

// strstr for a text that is searched from many places: a sanitizer's strict strstr, and its strchr,
// read the text to its end each time.
static const char *find(const char *text, const char *part) {
    const size_t length = strlen(part);
    for (; *text; text++)
        if (*text == *part && !strncmp(text, part, length)) return text;
    return NULL;
}

static int count(const char *text, const char *part) {
    int n = 0;
    for (const char *at = text; (at = find(at, part)); at += strlen(part)) n++;
    return n;
}

// Every element that is opened is closed, in order.
static void check_balanced(const char *page) {
    char stack[64][24];
    int depth = 0;
    for (const char *at = find(page, "<"); at; at = find(at + 1, "<")) {
        const char *name = at + 1 + (at[1] == '/');
        const char *end = find(at, ">");
        const int length = (int)strcspn(name, " >/\n");
        assert_non_null(end);
        if (*name == '!' || end[-1] == '/') continue;
        if (!strncmp(name, "meta", 4) || !strncmp(name, "br>", 3)) continue;
        if (at[1] != '/') {
            assert_in_range(depth, 0, 63);
            snprintf(stack[depth++], sizeof stack[0], "%.*s", length, name);
        } else {
            assert_in_range(depth, 1, 64);
            depth--;
            if (strncmp(stack[depth], name, (size_t)length) || stack[depth][length])
                fail_msg("</%.*s> closes <%s>", length, name, stack[depth]);
        }
    }
    assert_int_equal(depth, 0);
}

// Nothing is fetched and nothing runs.
static void check_self_contained(const char *page) {
    static const char *const forbidden[] = {
        "<script", "<link", "<iframe", "<img",    "src=",       "url(",
        "@import", "http:", "https:",  " onload", "javascript:"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (strstr(page, forbidden[i])) fail_msg("the page has %s", forbidden[i]);
}

// Ids are unique, and every figure's mark is among the definitions.
static void check_ids(const char *page) {
    for (const char *at = page; (at = find(at, " id=")); at++) {
        char id[64];
        snprintf(id, sizeof id, "%.*s", (int)strcspn(at + 1, " >/"), at + 1);
        assert_int_equal(count(page, id), 1);
    }
    for (const char *at = page; (at = find(at, "xlink:href='#")); at++) {
        char id[64];
        snprintf(id, sizeof id, "id='%.*s'", (int)strcspn(at + 13, "'"), at + 13);
        assert_int_equal(count(page, id), 1);
    }
}

static bool has_gnuplot(void) {
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

static void test_with_gnuplot(void **state) {
    fixture *f = *state;
    if (!has_gnuplot()) skip();
    write_report(f, sample);
    check_balanced(f->page);
    check_self_contained(f->page);
    check_ids(f->page);
    assert_int_equal(count(f->page, "<figure>"), 7);
    assert_int_equal(count(f->page, "<svg class=\"wide\""), 7);
    assert_int_equal(count(f->page, "<svg class=\"narrow\""), 7);
    // A drawing all of whose colours follow the reader's mode has no colour of its own.
    assert_null(strstr(f->page, "rgb("));
    for (int i = 0; figure_at(i); i++) {
        static const char *const extensions[] = {"gp", "svg", "png"};
        for (int j = 0; j < 3; j++) {
            char path[160];
            struct stat info;
            snprintf(path, sizeof path, "%s/figures/%s.%s", f->out, figure_at(i)->name,
                     extensions[j]);
            assert_int_equal(stat(path, &info), 0);
            assert_true(info.st_size > 1000);
        }
    }
    // The form for phones is inside the page and nowhere else.
    char narrow[160];
    snprintf(narrow, sizeof narrow, "%s/figures/energy-narrow.svg", f->out);
    assert_int_not_equal(access(narrow, F_OK), 0);
    write_report(f, sample);  // over an older report
    assert_int_equal(count(f->page, "<figure>"), 7);
}

// Every number that is a guess says so: in SST-2's part, which is measured, none does.
static void check_badges(const char *page) {
    const char *measured = strstr(page, "<h3>SST-2</h3><div"),
               *modelled = strstr(page, "<h3>CoLA</h3><div");
    assert_true(measured && modelled && measured < modelled);
    char *part = strndup(measured, (size_t)(modelled - measured));
    assert_int_equal(count(part, "modelled"), 0);
    free(part);
    part = strndup(modelled, (size_t)(strstr(modelled, "</table>") - modelled));
    // Energy, saving, carbon and split of five rows.
    assert_int_equal(count(part, "<span class=\"guess\">modelled</span>"), 20);
    free(part);
    // Power at rest: measured for SST-2, a guess for CoLA.
    const char *rest = strstr(page, "<dt>Power at rest</dt><dd>3 W<br>3 W <span class=\"badge\"");
    assert_non_null(rest);
}

static void compare_with_golden(const char *got, const char *path) {
    if (getenv("WATTBERT_REWRITE")) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(got, file);
        fclose(file);
    }
    char *want = read_all(path);
    assert_string_equal(got, want);
    free(want);
}

static void compare_with_expected(const char *page) {
    const char *begin = strstr(page, "<header>"),
               *end = strstr(page, "<section aria-labelledby=\"figures\"");
    assert_true(begin && end);
    char *got = strndup(begin, (size_t)(end - begin));
    compare_with_golden(got, SAMPLE_DIR "/tables.html");
    free(got);
}

static void test_without_gnuplot(void **state) {
    fixture *f = *state;
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    write_report(f, sample);
    setenv("PATH", path, 1);
    free(path);
    check_balanced(f->page);
    check_self_contained(f->page);
    assert_non_null(strstr(f->page, "Figures are missing"));
    assert_int_equal(count(f->page, "<figure>"), 0);
    check_badges(f->page);
    compare_with_expected(f->page);
}

// Windows that disagree widen an interval down to 0; the guess of watts is no worse for that.
static void test_guess_is_told(void **state) {
    (void)state;
    summary s;
    char note[1024];
    int n_widened = 0;
    assert_int_equal(summary_open(&s, sample, 1, NULL), WB_OK);
    for (int i = 0; i < s.n_panels; i++)
        for (int j = 0; j < s.panels[i].n_entries && n_widened < 2; j++) {
            entry *e = &s.panels[i].entries[j];
            if (!e->is_modelled) continue;
            e->energy_low_uj = n_widened++ ? 0.0 : 0.1 * e->energy_uj;
            e->energy_high_uj = 3.0 * e->energy_uj;
        }
    assert_int_equal(n_widened, 2);
    plot_source_note(figure_at(0), &s, note, sizeof note);
    assert_non_null(strstr(note, " wrong by a factor of 2, "));
    summary_close(&s);
}

// A label ends where its element's tag ends: no text broke out of its quotes.
static void check_labels(const char *page) {
    for (const char *at = page; (at = strstr(at, "aria-label=\""));) {
        at = strchr(at + 12, '"');
        assert_int_equal(at[1], '>');
    }
}

// A text column of each kind that ends up in a script, in HTML, or in both.
static void write_hostile(const char *csv_path, const char *text) {
    FILE *csv = fopen(csv_path, "w");
    assert_non_null(csv);
    fprintf(csv,
            "technique,task,model,host,device,utc,version,precision,score_name,carbon_source,"
            "flags,kernels,label_order,reason,status,energy_per_token_uj,score,tokens_per_s\n");
    for (int i = 0; i < 4; i++) {
        fprintf(csv, "\"baseline+%d%s\"", i, text);
        for (int j = 0; j < 13; j++) fprintf(csv, ",\"%s\"", text);
        fprintf(csv, ",%s,%d,0.5,%d\n", i < 3 ? "ok" : "skipped", i + 1, i + 1);
    }
    fclose(csv);
}

// A gnuplot that fails is told of, and the tables are there all the same.
static void test_failing_gnuplot(void **state) {
    fixture *f = *state;
    char path[128], *before = strdup(getenv("PATH"));
    snprintf(path, sizeof path, "%s/gnuplot", f->dir);
    FILE *program = fopen(path, "w");
    fputs("#!/bin/sh\nexit 3\n", program);
    fclose(program);
    chmod(path, 0755);
    setenv("PATH", f->dir, 1);
    write_report(f, sample);
    setenv("PATH", before, 1);
    free(before);
    check_balanced(f->page);
    assert_non_null(strstr(f->page, "gnuplot failed on"));
    assert_int_equal(count(f->page, "<figure>"), 0);
}

// The data blocks of all figures, worked out from the made-up sample.
static void test_data_of_figures(void **state) {
    (void)state;
    summary s;
    wb_error err;
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *file = open_memstream(&text, &n_bytes);
    assert_int_equal(summary_open(&s, sample, 1, &err), WB_OK);
    for (int i = 0; figure_at(i); i++) {
        const figure *f = figure_at(i);
        fprintf(file, "%s\n", f->name);
        for (int j = 0; j < (f->is_by_device ? 1 : s.n_panels); j++)
            if (f->is_shown(&s, &s.panels[j])) f->data(file, &s, j);
    }
    fclose(file);
    summary_close(&s);
    compare_with_golden(text, SAMPLE_DIR "/figures.txt");
    free(text);
}

// A study that was killed leaves half a line in power.csv; any other broken line is refused.
static void test_power_files(void **state) {
    fixture *f = *state;
    const struct {
        const char *text;
        int n_samples;  // -1: refused
    } cases[] = {
        {"technique,task,t_s,watts\nx,sst2,1,2\nx,sst2,2,3\n", 2},
        {"watts,later,t_s,task,technique\n1,2,3,sst2,x", 0},  // no line end: it may be cut off
        {"technique,task,t_s,watts\nx,sst2,1,2\nx,sst2,2.5e", 1},
        {"technique,task,t_s,watts\nx,sst2,1,2\nx,\"ss", 1},
        {"technique,task,t_s,watts\nx,sst2,,2\nx,sst2,2,\n", 0},
        {"technique,task,t_s,watts\nx,sst2,1,2,9\n", -1},
        {"technique,task,t_s,watts\nx,sst2,1\nx,sst2,1,2\n", -1},
        {"technique,task,t_s,watts\nx,sst2,1,two\nx,sst2,2,3\n", -1},
    };
    char csv[96], path[96];
    snprintf(csv, sizeof csv, "%s/x.csv", f->dir);
    snprintf(path, sizeof path, "%s/power.csv", f->dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        power_trace trace = {0};
        wb_error err;
        FILE *file = fopen(path, "w");
        fputs(cases[i].text, file);
        fclose(file);
        const wb_status status = power_read(&trace, csv, 7, &err);
        assert_int_equal(status, cases[i].n_samples < 0 ? WB_ERR_FORMAT : WB_OK);
        if (!status) assert_int_equal(trace.n_samples, cases[i].n_samples);
        if (trace.n_samples) assert_int_equal(trace.samples[0].file, 7);
        power_free(&trace);
    }
}

static void write_text(const fixture *f, const char *name, const char *text) {
    char path[96];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

// Rows of a processor and of a GPU in one file: a panel each, told apart by the device, and the
// watts of each in its own.
static void test_two_devices(void **state) {
    fixture *f = *state;
    write_text(f, "x.csv",
               "task,technique,host,device,energy_per_token_uj,score,energy_j,energy_source\n"
               "sst2,baseline,h,a CPU,900,.9,1,rapl\nsst2,flash,h,a CPU,300,.9,1,rapl\n"
               "cola,baseline,h,a CPU,800,.9,1,rapl\n"
               "sst2,baseline,h,a GPU,30,.9,1,nvml\nsst2,flash,h,a GPU,5,.9,1,nvml\n");
    write_text(f, "power.csv",
               "technique,task,t_s,watts,source,method\nbaseline,sst2,1,11,rapl,measured\n"
               "baseline,sst2,2,700,nvml,measured\nflash,sst2,3,600,nvml,measured\n");
    char path[96], *text = NULL;
    size_t n_bytes = 0;
    snprintf(path, sizeof path, "%s/x.csv", f->dir);
    const char *const paths[] = {path};
    summary s;
    wb_error err;
    assert_int_equal(summary_open(&s, paths, 1, &err), WB_OK);
    assert_int_equal(s.n_panels, 3);
    assert_string_equal(s.panels[0].title, "SST-2, a CPU");
    assert_string_equal(s.panels[1].title, "SST-2, a GPU");
    assert_true(s.panels[1].choice->saving == 6.0);  // of its own baseline
    FILE *page = open_memstream(&text, &n_bytes);
    page_devices(page, &s);
    for (int i = 0; figure_at(i); i++)
        if (!strcmp(figure_at(i)->name, "power")) figure_at(i)->data(page, &s, 1);
    fclose(page);
    assert_int_equal(count(text, "<tr>"), 3);  // head, CPU, GPU; CoLA ran on one device
    assert_non_null(strstr(text, "<b>60×</b>"));
    assert_non_null(strstr(text, "without its host"));
    assert_non_null(strstr(text, " 700 "));
    assert_null(strstr(text, " 11 "));
    free(text);
    summary_close(&s);
}

static void test_hostile_texts(void **state) {
    fixture *f = *state;
    char path[128], trap[128], texts[5][256];
    snprintf(path, sizeof path, "%s/x.csv", f->dir);
    snprintf(trap, sizeof trap, "%s/t", f->dir);
    snprintf(texts[0], sizeof texts[0], "`touch %s`", trap);
    snprintf(texts[1], sizeof texts[1], "\nEOD\n!touch %s\n", trap);
    snprintf(texts[2], sizeof texts[2], "'\r\nsystem('touch %s')\n'", trap);
    snprintf(texts[3], sizeof texts[3],
             "</table></style><script>alert(1)</script>\xff&lt;\"\" onload=x");
    snprintf(texts[4], sizeof texts[4], "%%s%%n{}$x@y\\");
    for (int i = 0; i < 5; i++) {
        write_hostile(path, texts[i]);
        const char *const paths[] = {path};
        write_report(f, paths);
        assert_int_not_equal(access(trap, F_OK), 0);
        check_balanced(f->page);
        assert_null(strstr(f->page, "<script"));
        check_labels(f->page);
        if (has_gnuplot()) assert_int_equal(count(f->page, "<figure>"), 6);
    }
}

static void test_failures(void **state) {
    fixture *f = *state;
    const char *const missing[] = {"/nonexistent/results.csv"};
    assert_int_equal(report_write(missing, 1, f->out), 1);
    assert_int_equal(report_write(sample, 1, "/proc/nowhere"), 1);
    assert_int_not_equal(access(f->out, F_OK), 0);  // a report that fails leaves nothing
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guess_is_told),
        cmocka_unit_test_setup_teardown(test_with_gnuplot, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_without_gnuplot, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_failing_gnuplot, open_fixture, close_fixture),
        cmocka_unit_test(test_data_of_figures),
        cmocka_unit_test_setup_teardown(test_power_files, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_two_devices, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_hostile_texts, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_failures, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
