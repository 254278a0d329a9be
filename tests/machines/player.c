// SPDX-License-Identifier: Apache-2.0
// Plays a recorded machine. Values are written over in place, so that a reader sees the old
// number or the new one, as from the kernel.
#include "player.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_MOVES = 32, MAX_SAMPLES = 2000, PATH_BYTES = 1024 };

typedef struct move {
    char path[256];
    // Of a rate.
    double start, per_s, step_s, wrap, reset_s;
    // Of a trace: n_samples > 0.
    double times_s[MAX_SAMPLES], values[MAX_SAMPLES];
    int n_samples;
    int fd;
    long long written;
} move;

struct player {
    char machine[512], root[512];
    move moves[MAX_MOVES];
    int n_moves;
    bool denies;
};

__attribute__((noreturn)) static void die(const char *what, const char *path) {
    fprintf(stderr, "player: %s: %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void join(char out[PATH_BYTES], const char *dir, const char *name) {
    const int n = snprintf(out, PATH_BYTES, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_BYTES) die("path too long", name);
}

static void make_folders(const char *root, const char *path) {
    char full[PATH_BYTES];
    join(full, root, path);
    for (char *c = full + strlen(root) + 1; *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        if (mkdir(full, 0755) != 0 && errno != EEXIST) die("mkdir", full);
        *c = '/';
    }
}

static void copy_tree(const char *from, const char *to) {
    char command[3 * PATH_BYTES];
    snprintf(command, sizeof command, "cp -R '%s/.' '%s'", from, to);
    if (system(command) != 0) die("cp -R", from);
}

static void read_trace(move *m, const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die("open", path);
    char line[256];
    while (fgets(line, sizeof line, file) && m->n_samples < MAX_SAMPLES) {
        const int i = m->n_samples;
        if (sscanf(line, "%lf %lf", &m->times_s[i], &m->values[i]) == 2) m->n_samples++;
    }
    fclose(file);
    if (m->n_samples < 2) die("no samples in", path);
}

static move *add_move(player *p, const char *path) {
    if (p->n_moves == MAX_MOVES) die("too many files move", path);
    move *m = &p->moves[p->n_moves++];
    char full[PATH_BYTES];
    snprintf(m->path, sizeof m->path, "%s", path);
    make_folders(p->root, path);
    join(full, p->root, path);
    m->fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    m->written = -1;
    if (m->fd < 0) die("open", full);
    return m;
}

static void deny(player *p, const char *path) {
    char full[PATH_BYTES];
    join(full, p->root, path);
    p->denies = true;
    if (chmod(full, 0) != 0) die("chmod", full);
}

static void read_line(player *p, const char *line) {
    char kind[16], path[256], file[256], full[PATH_BYTES];
    double start, per_s, step_ms, wrap = INFINITY, reset_s = INFINITY;
    if (sscanf(line, "%15s %255s", kind, path) != 2) return;
    if (strcmp(kind, "rate") == 0 && sscanf(line, "%*s %*s %lf %lf %lf %lf %lf", &start, &per_s,
                                            &step_ms, &wrap, &reset_s) >= 3) {
        move *m = add_move(p, path);
        m->start = start;
        m->per_s = per_s;
        m->step_s = step_ms * 1e-3;
        m->wrap = wrap > 0.0 ? wrap : INFINITY;
        m->reset_s = reset_s;
    } else if (strcmp(kind, "trace") == 0 && sscanf(line, "%*s %*s %255s", file) == 1) {
        join(full, p->machine, file);
        read_trace(add_move(p, path), full);
    } else if (strcmp(kind, "deny") == 0) {
        deny(p, path);
    } else {
        errno = EINVAL;
        die("line not understood", line);
    }
}

static void read_play(player *p) {
    char path[PATH_BYTES], line[1024];
    join(path, p->machine, "play");
    FILE *file = fopen(path, "r");
    if (!file) die("open", path);
    if (!fgets(line, sizeof line, file) || strcmp(line, "wattbert-machine 1\n") != 0)
        die("does not begin with wattbert-machine 1", path);
    while (fgets(line, sizeof line, file))
        if (line[0] != '#' && line[0] != '\n') read_line(p, line);
    fclose(file);
}

player *player_open(const char *machine) {
    player *p = calloc(1, sizeof *p);
    if (!p) die("memory", machine);
    const char *base = getenv("TMPDIR");
    snprintf(p->machine, sizeof p->machine, "%s", machine);
    snprintf(p->root, sizeof p->root, "%s/wattbert-machine-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(p->root)) die("mkdtemp", p->root);
    char tree[PATH_BYTES];
    join(tree, machine, "root");
    if (access(tree, F_OK) == 0) copy_tree(tree, p->root);
    read_play(p);
    player_update(p, 0.0);
    return p;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

void player_close(player *p) {
    for (int i = 0; i < p->n_moves; i++) close(p->moves[i].fd);
    nftw(p->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(p);
}

const char *player_root(const player *p) {
    return p->root;
}

bool player_denies(const player *p) {
    return p->denies;
}

static double value_at(const move *m, double now_s) {
    if (m->n_samples > 0) {
        int i = 0;
        while (i + 1 < m->n_samples && m->times_s[i + 1] - m->times_s[0] <= now_s) i++;
        return m->values[i];
    }
    const bool is_reset = now_s >= m->reset_s;
    const double since_s = is_reset ? fmod(now_s, m->reset_s) : now_s;
    const double steps = m->step_s > 0.0 ? floor(since_s / m->step_s) * m->step_s : since_s;
    const double value = (is_reset ? 0.0 : m->start) + m->per_s * steps;
    return isfinite(m->wrap) ? fmod(value, m->wrap) : value;
}

void player_update(player *p, double now_s) {
    for (int i = 0; i < p->n_moves; i++) {
        move *m = &p->moves[i];
        const long long value = (long long)value_at(m, now_s);
        if (value == m->written) continue;
        char text[32];
        const int n = snprintf(text, sizeof text, "%lld\n", value);
        if (pwrite(m->fd, text, (size_t)n, 0) != n || ftruncate(m->fd, n) != 0)
            die("write", m->path);
        m->written = value;
    }
}
