// SPDX-License-Identifier: Apache-2.0
// Electricity Maps' /carbon-intensity/latest. The value changes once an hour, so an answer is
// kept in the user's cache folder for that long; an older one is never used, since the row
// would then carry a date it was not measured at.
#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "carbon/carbon.h"

#define DEFAULT_URL "https://api.electricitymaps.com/v3"
enum { MAX_ANSWER_BYTES = 1 << 20, MAX_CACHE_AGE_S = 3600, PATH_BYTES = 4096 };

// One answer: the value and the hour it is of.
typedef struct answer {
    double g_per_kwh;
    char datetime[40];
    double age_s;  // since it was fetched
} answer;

// ---- The answer's JSON ------------------------------------------------------

static bool parse_answer(answer *out, const json_t *root) {
    const json_t *value = json_object_get(root, "carbonIntensity");
    const char *datetime = json_string_value(json_object_get(root, "datetime"));
    if (!json_is_number(value) || !datetime) return false;
    out->g_per_kwh = json_number_value(value);
    snprintf(out->datetime, sizeof out->datetime, "%s", datetime);
    for (char *c = out->datetime; *c; c++)
        if ((unsigned char)*c < 0x20) *c = ' ';
    return isfinite(out->g_per_kwh) && out->g_per_kwh >= 0.0;
}

// ---- The cache --------------------------------------------------------------

// path <- a file below $XDG_CACHE_HOME or ~/.cache; false where there is neither.
static bool find_cache(char *path, const char *zone) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[PATH_BYTES], name[64];
    if (cache && cache[0])
        snprintf(folder, sizeof folder, "%s", cache);
    else if (!home || !home[0] || !wb_path_join(folder, sizeof folder, home, ".cache"))
        return false;
    snprintf(name, sizeof name, "wattbert-carbon-%s.json", zone);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) return false;
    return wb_path_join(path, PATH_BYTES, folder, name);
}

static bool read_cache(answer *out, const char *path, const char *url) {
    json_t *root = json_load_file(path, 0, NULL);
    const char *from = json_string_value(json_object_get(root, "url"));
    out->age_s = difftime(time(NULL), (time_t)json_number_value(json_object_get(root, "fetched")));
    const bool is_fresh = from && strcmp(from, url) == 0 && out->age_s >= 0.0 &&
                          out->age_s < MAX_CACHE_AGE_S &&
                          parse_answer(out, json_object_get(root, "answer"));
    json_decref(root);
    return is_fresh;
}

// A cache that cannot be written costs a request next time and nothing else.
static void write_cache(const char *path, const char *url, json_t *answer_json) {
    char temporary[PATH_BYTES + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    json_t *root = json_pack("{s:s, s:f, s:O}", "url", url, "fetched", (double)time(NULL), "answer",
                             answer_json);
    if (root && json_dump_file(root, temporary, 0) == 0) rename(temporary, path);
    json_decref(root);
}

// ---- The request ------------------------------------------------------------

typedef struct body {
    char *bytes;
    size_t n_bytes;
} body;

// curl's callback; returning less than it was given ends the transfer.
static size_t receive(char *data, size_t size, size_t n, void *context) {
    body *b = context;
    const size_t n_bytes = size * n;
    if (b->n_bytes + n_bytes > MAX_ANSWER_BYTES) return 0;
    char *grown = wb_realloc_array(b->bytes, b->n_bytes, b->n_bytes + n_bytes + 1, 1);
    if (!grown) return 0;
    memcpy(grown + b->n_bytes, data, n_bytes);
    b->bytes = grown;
    b->n_bytes += n_bytes;
    return n_bytes;
}

static CURLcode perform(CURL *curl, const char *url, const char *token, double timeout_s, body *b,
                        long *http_status) {
    char header[512];
    snprintf(header, sizeof header, "auth-token: %s", token);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    if (!headers) return CURLE_OUT_OF_MEMORY;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(1e3 * timeout_s));
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, b);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, http_status);
    curl_slist_free_all(headers);
    return code;
}

static wb_status fail_http(long http_status, const char *url, wb_error *err) {
    if (http_status == 401 || http_status == 403)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "%s refused the token (HTTP %ld), check ELECTRICITYMAPS_TOKEN", url,
                       http_status);
    if (http_status == 404)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%s knows no such zone (HTTP 404)", url);
    return wb_fail(err, WB_ERR_REFUSED, 0,
                   "%s answered HTTP %ld, try again or give --carbon-intensity", url, http_status);
}

// *root <- the parsed answer of the service.
static wb_status request(json_t **root, const char *url, const char *token, double timeout_s,
                         wb_error *err) {
    *root = NULL;
    body b = {0};
    long http_status = 0;
    CURL *curl = curl_easy_init();
    if (!curl) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: libcurl does not start", url);
    const CURLcode code = perform(curl, url, token, timeout_s, &b, &http_status);
    curl_easy_cleanup(curl);
    wb_status status = WB_OK;
    if (code != CURLE_OK)
        status =
            wb_fail(err, WB_ERR_REFUSED, 0, "%s: %s, check the network or give --carbon-intensity",
                    url, curl_easy_strerror(code));
    else if (http_status != 200)
        status = fail_http(http_status, url, err);
    else
        *root = json_loadb(b.bytes ? b.bytes : "", b.n_bytes, 0, NULL);
    wb_free(b.bytes);
    return status;
}

// ---- Together ---------------------------------------------------------------

// The zone becomes part of a URL and of a file's name.
static bool is_zone(const char *zone) {
    const size_t n_bytes = strlen(zone);
    return n_bytes > 0 && n_bytes <= 32 &&
           strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               n_bytes;
}

static void fill(carbon_intensity *out, const answer *a, const char *zone) {
    out->g_per_kwh = a->g_per_kwh;
    char age[32] = "";
    if (a->age_s >= 60.0) snprintf(age, sizeof age, ", cached %.0f min", a->age_s / 60.0);
    snprintf(out->source, sizeof out->source, "Electricity Maps %s %s%s", zone, a->datetime, age);
}

wb_status carbon_fetch(carbon_intensity *out, const carbon_options *options, wb_error *err) {
    const char *zone = options->live_zone, *token = getenv("ELECTRICITYMAPS_TOKEN");
    if (!is_zone(zone))
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "\"%s\" is no zone of Electricity Maps, give one such as DE or US-CAL-CISO",
                       zone);
    if (!token || !token[0])
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "no token for Electricity Maps, set ELECTRICITYMAPS_TOKEN");
    if (strpbrk(token, "\r\n") || strlen(token) > 400)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "ELECTRICITYMAPS_TOKEN is no token, it must be one line");
    char url[1024], cache[PATH_BYTES];
    const int n = snprintf(url, sizeof url, "%s/carbon-intensity/latest?zone=%s",
                           options->url ? options->url : DEFAULT_URL, zone);
    if (n < 0 || (size_t)n >= sizeof url)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "--carbon-url is too long");
    const bool has_cache = find_cache(cache, zone);
    answer a = {0};
    if (has_cache && read_cache(&a, cache, url)) {
        fill(out, &a, zone);
        return WB_OK;
    }
    json_t *root;
    const wb_status status = request(&root, url, token, options->timeout_s, err);
    if (status) return status;
    a.age_s = 0.0;
    const bool is_answer = parse_answer(&a, root);
    if (is_answer && has_cache) write_cache(cache, url, root);
    json_decref(root);
    if (!is_answer)
        return wb_fail(err, WB_ERR_REFUSED, 0,
                       "%s: its answer holds no carbonIntensity, try again or give "
                       "--carbon-intensity",
                       url);
    fill(out, &a, zone);
    return WB_OK;
}
