// SPDX-License-Identifier: Apache-2.0
// Carbon intensity: the table, the arithmetic, and Electricity Maps' interface against a
// stand-in on the loopback that answers well, badly, late or not at all.
#include "carbon/carbon.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

// ---- Without a network ------------------------------------------------------

static void test_table(void **state) {
    (void)state;
    carbon_options o = carbon_default_options();
    carbon_intensity c;
    const char *const germany[] = {"DEU", "deu", "Germany", "germany"};
    for (int i = 0; i < 4; i++) {
        o.zone = germany[i];
        assert_int_equal(carbon_resolve(&c, &o, NULL), WB_OK);
        assert_true(c.g_per_kwh == 380.95);
        assert_string_equal(c.source, "Germany 2023 mean (Our World in Data, CC BY 4.0)");
    }
    assert_int_equal(carbon_n_zones, 213);
    for (int i = 0; i < carbon_n_zones; i++) {
        assert_int_equal(strlen(carbon_zones[i].iso3), 3);
        assert_true(carbon_zones[i].g_per_kwh >= 0.0 && carbon_zones[i].g_per_kwh < 1500.0);
        assert_in_range(carbon_zones[i].year, 2000, 2030);
        if (i > 0) assert_true(strcmp(carbon_zones[i - 1].iso3, carbon_zones[i].iso3) < 0);
    }
    wb_error err;
    o.zone = "DE";
    assert_int_equal(carbon_resolve(&c, &o, &err), WB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "perhaps DEU (Germany)"));
    o.zone = "Atlantis";
    assert_int_equal(carbon_resolve(&c, &o, &err), WB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "Atlantis"));
}

static void test_grams(void **state) {
    (void)state;
    carbon_options o = carbon_default_options();
    carbon_intensity c;
    assert_int_equal(carbon_resolve(&c, &o, NULL), WB_OK);
    assert_true(isnan(carbon_grams(&c, 1.0)));
    assert_string_equal(c.source, "");
    o.g_per_kwh = 400.0;
    o.pue = 1.5;
    assert_int_equal(carbon_resolve(&c, &o, NULL), WB_OK);
    // 3.6 MJ are one kilowatt-hour.
    assert_true(fabs(carbon_grams(&c, 3.6e6) - 600.0) < 1e-9);
    assert_string_equal(c.source, "given on the command line");
    o.zone = "FRA";
    assert_int_equal(carbon_resolve(&c, &o, NULL), WB_ERR_ARGUMENT);
}

// ---- The stand-in -----------------------------------------------------------

typedef struct service {
    int listener;
    unsigned short port;
    pthread_t thread;
    int n_requests;
    char request[4096];  // the last one
    const char *answer;  // whole, with status line and headers; NULL: none, until the client goes
} service;

static void *serve(void *context) {
    service *s = context;
    for (;;) {
        const int client = accept(s->listener, NULL, NULL);
        if (client < 0) return NULL;
        const ssize_t n = read(client, s->request, sizeof s->request - 1);
        s->request[n > 0 ? n : 0] = 0;
        s->n_requests++;
        char rest[64];
        if (s->answer)
            (void)!write(client, s->answer, strlen(s->answer));
        else
            (void)!read(client, rest, sizeof rest);
        close(client);
    }
}

static void start(service *s, const char *answer) {
    *s = (service){.answer = answer};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n_bytes = sizeof address;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &n_bytes), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(service *s) {
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

// Asks the stand-in for zone DE with an empty cache of its own.
static wb_status ask(carbon_intensity *c, const service *s, const char *cache, wb_error *err) {
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v3", s->port);
    carbon_options o = carbon_default_options();
    o.live_zone = "DE";
    o.url = url;
    o.timeout_s = 0.5;
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("ELECTRICITYMAPS_TOKEN", "secret-token", 1);
    unsetenv("http_proxy");
    return carbon_resolve(c, &o, err);
}

#define OK_HEADERS "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
static const char good_answer[] = OK_HEADERS
    "{\"zone\": \"DE\", \"carbonIntensity\": 302, \"datetime\": \"2025-04-25T18:00:00.000Z\", "
    "\"updatedAt\": \"2025-04-25T18:07:00.350Z\", \"isEstimated\": true}";

static void test_live(void **state) {
    (void)state;
    char cache[] = "/tmp/test_carbon_XXXXXX", path[64];
    assert_non_null(mkdtemp(cache));
    service s;
    start(&s, good_answer);
    carbon_intensity c;
    wb_error err = {.message = ""};
    if (ask(&c, &s, cache, &err)) fail_msg("%s", err.message);
    assert_true(c.g_per_kwh == 302.0);
    assert_string_equal(c.source, "Electricity Maps DE 2025-04-25T18:00:00.000Z");
    assert_non_null(strstr(s.request, "GET /v3/carbon-intensity/latest?zone=DE "));
    assert_non_null(strstr(s.request, "auth-token: secret-token\r\n"));
    // The second answer comes from the cache.
    assert_int_equal(ask(&c, &s, cache, &err), WB_OK);
    assert_int_equal(s.n_requests, 1);
    // An old answer is not used, and the token is not in it.
    snprintf(path, sizeof path, "%s/wattbert-carbon-DE.json", cache);
    wb_file file;
    assert_int_equal(wb_file_read(&file, path, 1 << 20, NULL), WB_OK);
    assert_null(strstr((const char *)file.data, "secret"));
    const char *fetched = strstr((const char *)file.data, "\"fetched\": ");
    assert_non_null(fetched);
    const long offset = fetched + strlen("\"fetched\": ") - (const char *)file.data;
    wb_file_close(&file);
    // 17..., this year, becomes 10..., 2004.
    FILE *old = fopen(path, "r+");
    assert_int_equal(fseek(old, offset + 1, SEEK_SET), 0);
    fputc('0', old);
    fclose(old);
    assert_int_equal(ask(&c, &s, cache, &err), WB_OK);
    assert_int_equal(s.n_requests, 2);
    stop(&s);
    unlink(path);
    rmdir(cache);
}

typedef struct failure {
    const char *answer;
    wb_status status;
    const char *message;
} failure;

static const failure failures[] = {
    {"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n", WB_ERR_ARGUMENT,
     "check ELECTRICITYMAPS_TOKEN"},
    {"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n", WB_ERR_ARGUMENT, "no such zone"},
    {"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n", WB_ERR_REFUSED, "HTTP 500"},
    {OK_HEADERS "<html>sign in</html>", WB_ERR_REFUSED, "no carbonIntensity"},
    {OK_HEADERS "{\"carbonIntensity\": null, \"datetime\": \"x\"}", WB_ERR_REFUSED,
     "no carbonIntensity"},
    {OK_HEADERS "{\"carbonIntensity\": -3, \"datetime\": \"x\"}", WB_ERR_REFUSED,
     "no carbonIntensity"},
    {OK_HEADERS, WB_ERR_REFUSED, "no carbonIntensity"},
    {"garbage\r\n", WB_ERR_REFUSED, "--carbon-intensity"},
    {NULL, WB_ERR_REFUSED, "imeout"},
};

static void test_live_failures(void **state) {
    (void)state;
    char cache[] = "/tmp/test_carbon_XXXXXX";
    assert_non_null(mkdtemp(cache));
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        service s;
        start(&s, failures[i].answer);
        carbon_intensity c;
        wb_error err;
        const wb_status status = ask(&c, &s, cache, &err);
        stop(&s);
        if (status != failures[i].status || !strstr(err.message, failures[i].message))
            fail_msg("failure %zu: %s, %s", i, wb_status_name(status), err.message);
        assert_null(strstr(err.message, "secret"));
        assert_true(isnan(c.g_per_kwh));
    }
    assert_int_equal(rmdir(cache), 0);  // nothing was cached
}

static void test_live_arguments(void **state) {
    (void)state;
    carbon_options o = carbon_default_options();
    carbon_intensity c;
    wb_error err;
    o.live_zone = "DE";
    o.url = "http://127.0.0.1:1";
    unsetenv("ELECTRICITYMAPS_TOKEN");
    assert_int_equal(carbon_resolve(&c, &o, &err), WB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "set ELECTRICITYMAPS_TOKEN"));
    setenv("ELECTRICITYMAPS_TOKEN", "a\r\nX: y", 1);
    assert_int_equal(carbon_resolve(&c, &o, &err), WB_ERR_ARGUMENT);
    setenv("ELECTRICITYMAPS_TOKEN", "secret-token", 1);
    o.live_zone = "../DE&x=1";
    assert_int_equal(carbon_resolve(&c, &o, &err), WB_ERR_ARGUMENT);
    o.live_zone = "DE";
    o.url = "file:///etc";
    assert_int_equal(carbon_resolve(&c, &o, &err), WB_ERR_REFUSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),          cmocka_unit_test(test_grams),
        cmocka_unit_test(test_live),           cmocka_unit_test(test_live_failures),
        cmocka_unit_test(test_live_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
