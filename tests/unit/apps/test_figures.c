// SPDX-License-Identifier: Apache-2.0
// The parts figures are made of: axes, numbers, places for names, escaping, gnuplot's SVG.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "report/axis.h"
#include "report/html.h"
#include "report/look.h"
#include "report/place.h"
#include "report/plot.h"
#include "report/svg.h"
#include "report/text.h"

static void test_numbers(void **state) {
    (void)state;
    const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0"},
        {1.0, "1"},
        {0.5, "0.5"},
        {-2.5, "-2.5"},
        {3.14159, "3.142"},
        {42.33, "42.33"},
        {999.96, "1000"},
        {1234.4, "1234"},
        {9999.0, "9999"},
        {12345.6, "12\u202f346"},
        {1234567.0, "1\u202f234\u202f567"},
        {-98765.0, "-98\u202f765"},
        {0.00123, "0.00123"},
        {0.9999999, "1"},
        {1e-7, "1e-07"},
        {3e12, "3e+12"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NUMBER_TEXT];
        assert_string_equal(number_text(text, cases[i].value), cases[i].text);
    }
}

static axis make_axis(bool is_log, double low, double high) {
    axis a = is_log ? axis_log() : axis_linear();
    axis_add(&a, low);
    axis_add(&a, NAN);
    axis_add(&a, high);
    return a;
}

static void check_tics(bool is_log, double low, double high, int max_tics, const char *want) {
    const axis a = make_axis(is_log, low, high);
    double tics[AXIS_MAX_TICS];
    char got[256] = "";
    const int n_tics = axis_tics(&a, max_tics, tics);
    for (int i = 0; i < n_tics; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%g", i ? " " : "", tics[i]);
    assert_string_equal(got, want);
}

static void test_tics(void **state) {
    (void)state;
    check_tics(false, 0, 1, 5, "0 0.2 0.4 0.6 0.8 1");
    check_tics(false, 0, 6200, 4, "0 2000 4000 6000");
    check_tics(false, -0.1, 0.1, 4, "-0.1 -0.05 0 0.05 0.1");
    check_tics(false, 0.8951, 0.9049, 4, "0.8975 0.9 0.9025");
    check_tics(true, 1, 100, 7, "1 2 5 10 20 50 100");
    check_tics(true, 1, 100, 3, "1 10 100");
    check_tics(true, 300, 7000, 20, "300 400 500 700 1000 1500 2000 3000 4000 5000 7000");
    // 20 000 and 30 000 would touch.
    check_tics(true, 2300, 41000, 5, "5000 10000 20000");
    check_tics(true, 100, 150, 5, "100 110 120 130 140 150");
}

static void test_axis_positions(void **state) {
    (void)state;
    axis a = make_axis(true, 10, 1000);
    assert_true(fabs(axis_position(&a, 100) - 0.5) < 1e-12);
    axis_add(&a, 0.0);  // a logarithm has no place for it
    assert_true(a.low == 10);
    axis_pad(&a, 0.5, 0.5);
    assert_true(fabs(a.low - 1.0) < 1e-9 && fabs(a.high - 10000.0) < 1e-6);
    axis empty = axis_linear();
    axis_pad(&empty, 0.1, 0.1);
    assert_true(empty.low < empty.high);
    axis single = make_axis(false, 0.5, 0.5);
    axis_pad(&single, 0.1, 0.1);
    assert_true(single.low < 0.5 && single.high > 0.5);
}

static bool is_overlapping(const place_box *a, const place_box *b) {
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

static void test_names_keep_apart(void **state) {
    (void)state;
    static place_map map = {.bounds = {0, 0, 400, 300}};
    place_box placed[60];
    int n_placed = 0;
    for (int i = 0; i < 60; i++) {
        const double x = 200 + 40 * sin(i), y = 150 + 40 * cos(3 * i);
        if (!place_text(&map, x, y, 70, 14, &placed[n_placed])) continue;
        const place_box *box = &placed[n_placed++];
        assert_true(box->left >= 0 && box->top >= 0 && box->right <= 400 && box->bottom <= 300);
        for (int j = 0; j < n_placed - 1; j++) assert_false(is_overlapping(box, &placed[j]));
    }
    assert_in_range(n_placed, 10, 59);  // some found room, not all can
}

static char *text_of(void (*write)(FILE *, const char *), const char *text) {
    char *out = NULL;
    size_t n_bytes = 0;
    FILE *file = open_memstream(&out, &n_bytes);
    write(file, text);
    fclose(file);
    return out;
}

static void check_written(void (*write)(FILE *, const char *), const char *text, const char *want) {
    char *got = text_of(write, text);
    assert_string_equal(got, want);
    free(got);
}

static void test_html_is_escaped(void **state) {
    (void)state;
    check_written(html_text, "<a href=\"x\">&amp;</a>",
                  "&lt;a href=&quot;x&quot;&gt;&amp;amp;&lt;/a&gt;");
    check_written(html_text, "µJ \xf0\x9f\x94\x8b", "µJ \xf0\x9f\x94\x8b");
    check_written(html_text, "a\x01\xff\xc0\xaf\xed\xa0\x80\xe2\x82",
                  "a\ufffd\ufffd\ufffd\ufffd\ufffd"
                  "\ufffd\ufffd\ufffd\ufffd");
    check_written(html_text, "two\nlines", "two lines");
}

static void test_script_is_quoted(void **state) {
    (void)state;
    check_written(plot_quote, "it's `touch x`\n$(y)", "'it\u2019s  touch x  $(y)'");
    check_written(plot_quote, "100 %", "'100 %'");
    check_written(plot_quote_tic, "100 %s", "'100 %%s'");
    check_written(plot_comment, "a\nb\\", "\n# a b/\n");
}

static void test_texts_are_tamed(void **state) {
    (void)state;
    char text[] = "\x01\xc3\xa9\xff\xed\xa0\x80\xf0\x9f\x94\x8b\xe2\x82";
    text_tame(text);
    assert_string_equal(text, " \xc3\xa9????\xf0\x9f\x94\x8b??");
}

// What gnuplot 5.4 writes, shortened.
static const char drawing[] =
    "<?xml version=\"1.0\"?>\n<svg \n viewBox=\"0 0 380 200\"\n "
    "xmlns=\"x\">\n<title>Gnuplot</title>"
    "\n<desc>Produced</desc>\n<g id=\"gnuplot_canvas\">\n"
    "<rect x=\"0\" y=\"0\" width=\"380\" height=\"200\" fill=\"#ffffff\"/>\n"
    "<defs>\n\t<circle id='gpDot' r='0.5'/>\n\t<filter id='textbox'></filter>\n</defs>\n"
    "<g fill=\"none\" color=\"black\" stroke=\"currentColor\">\n</g>\n"
    "<g fill=\"none\" color=\"black\">\n\t<path stroke='rgb( 90, 100, 111)' d='M1'/></g>\n"
    "<g id=\"gnuplot_plot_1\" ><title>gnuplot_plot_1</title>\n"
    "<text fill=\"rgb(31,35,40)\" font-family=\"sans-serif\">a &lt; b</text>\n"
    "<use fill=\"black\" color='rgb(1, 2, 3)'/></g></g>\n</svg>\n";

static void test_svg_joins_the_page(void **state) {
    (void)state;
    char path[] = "/tmp/test_figures_XXXXXX";
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, drawing, strlen(drawing)), (ssize_t)strlen(drawing));
    char *page = NULL;
    size_t n_bytes = 0;
    wb_error err;
    FILE *file = open_memstream(&page, &n_bytes);
    assert_int_equal(svg_marks(file, path, &err), WB_OK);
    fflush(file);
    assert_non_null(strstr(page, "<circle id='gpDot' r='0.5'/></defs></svg>"));
    rewind(file);
    assert_int_equal(svg_inline(file, path, "wide", "a \"label\"", &err), WB_OK);
    fclose(file);
    assert_int_equal(strncmp(page,
                             "<svg class=\"wide\" viewBox=\"0 0 380 200\" role=\"img\" "
                             "aria-label=\"a &quot;label&quot;\">",
                             82),
                     0);
    const char *const gone[] = {
        "<?xml", "Gnuplot",    "Produced",        "gnuplot_", "<defs",
        "<rect", "sans-serif", "color=\"black\"", "gpDot",    "currentColor\">\n</g>"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) assert_null(strstr(page, gone[i]));
    assert_non_null(strstr(page, "<path stroke='var(--muted)' d='M1'/>"));
    assert_non_null(strstr(page, "<text fill=\"var(--ink)\">a &lt; b</text>"));
    assert_non_null(strstr(page, "fill=\"currentColor\" color='rgb(1, 2, 3)'"));
    free(page);
    assert_int_equal(ftruncate(fd, 40), 0);
    assert_int_equal(svg_inline(stderr, path, "wide", "", &err), WB_ERR_FORMAT);
    close(fd);
    unlink(path);
    assert_int_equal(svg_inline(stderr, path, "wide", "", &err), WB_ERR_IO);
}

// Relative luminance and contrast as WCAG 2 defines them.
static double luminance(const char *colour) {
    double sum = 0.0;
    const double weights[] = {0.2126, 0.7152, 0.0722};
    for (int i = 0; i < 3; i++) {
        const char digits[3] = {colour[1 + 2 * i], colour[2 + 2 * i], 0};
        const double value = (double)strtol(digits, NULL, 16) / 255.0;
        sum += weights[i] * (value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static double contrast(const char *a, const char *b) {
    const double high = fmax(luminance(a), luminance(b)), low = fmin(luminance(a), luminance(b));
    return (high + 0.05) / (low + 0.05);
}

static void test_colours_can_be_read(void **state) {
    (void)state;
    const look_colour *paper = &look_colours[LOOK_PAPER];
    const int texts[] = {LOOK_INK, LOOK_MUTED}, grounds[] = {LOOK_PAPER, LOOK_BAND, LOOK_WARM};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) {
            assert_true(contrast(look_colours[texts[i]].light, look_colours[grounds[j]].light) >=
                        4.5);
            assert_true(contrast(look_colours[texts[i]].dark, look_colours[grounds[j]].dark) >=
                        4.5);
        }
    for (int i = LOOK_BLUE; i < LOOK_N_COLOURS; i++) {
        // Sky and orange are fills only; marks and lines need 3 : 1.
        const double least = i == LOOK_SKY || i == LOOK_ORANGE ? 1.7 : 3.0;
        assert_true(contrast(look_colours[i].light, paper->light) >= least);
        assert_true(contrast(look_colours[i].dark, paper->dark) >= 3.0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(look_colours[i].light, look_colours[j].light);
    }
}

static void test_marks_are_distinct(void **state) {
    (void)state;
    const char *const names[] = {"baseline", "f32-flash",    "autocast-bf16", "bf16",
                                 "flash",    "autocast-f16", "f16",           "f16-flash",
                                 "mixed",    "i8-dynamic",   "i8-static",     "fp8",
                                 "tuned",    "cascade",      "something new"};
    for (int i = 0; i < 15; i++)
        for (int j = 0; j < i; j++) {
            const look_mark a = look_of_technique(names[i]), b = look_of_technique(names[j]);
            assert_true(a.colour != b.colour || a.hollow_point != b.hollow_point);
            assert_true(a.order != b.order);
        }
    assert_true(look_of_technique("flash+packed").order >
                look_of_technique("cascade+sorted").order);
    assert_true(look_of_technique("flash+sorted").order > look_of_technique("unknown").order);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tics),
        cmocka_unit_test(test_axis_positions),
        cmocka_unit_test(test_names_keep_apart),
        cmocka_unit_test(test_html_is_escaped),
        cmocka_unit_test(test_script_is_quoted),
        cmocka_unit_test(test_texts_are_tamed),
        cmocka_unit_test(test_svg_joins_the_page),
        cmocka_unit_test(test_colours_can_be_read),
        cmocka_unit_test(test_marks_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
