// SPDX-License-Identifier: Apache-2.0
// The pickle machine: a stack of small values, the cells of tuples, a memo, and a table of
// opcodes. Lists and dictionaries other than the state dict keep nothing, since nothing reads
// them (hooks, _metadata); so no value ever holds a cycle and nothing here recurses.
//
// One byte of a pickle makes at most one value of 16 bytes, and every array has a limit far
// above what 16,384 tensors need: that is the whole defence against stack and memo bombs.
#include "format/pickle.h"

enum {
    MAX_PICKLE_BYTES = 64 << 20,  // a tensor takes 130 bytes of one
    MAX_STACK = 1 << 15,          // torch stacks 1,000 pairs at a time
    MAX_CELLS = 1 << 18,          // 16 of a tensor
    MAX_MEMO = 1 << 18,           // 8 of a tensor
};

typedef enum kind {
    MARK,
    INT,      // number
    TEXT,     // n bytes at offset number of the source
    OTHER,    // None, booleans, floats, bytes: carried, never looked at
    TUPLE,    // n cells from cells[number]
    LIST,     // forgets what is put in
    DICT,     // number 0: the state dict; others forget
    GLOBAL,   // globals[number]
    STORAGE,  // its five cells from cells[number]
    TENSOR,   // out->tensors[number]
} kind;

typedef struct value {
    uint32_t kind, n;
    int64_t number;
} value;

typedef struct machine {
    const wb_source *source;
    uint64_t at, end;  // of the pickle in the source
    value *stack, *cells, *memo;
    size_t depth, n_cells, n_memo;
    size_t stack_capacity, cells_capacity, memo_capacity, tensors_capacity, items_capacity;
    int64_t n_dicts;
    bool is_done;
    wb_pickle *out;
} machine;

// What a broken or cut-off pickle looks like; a hostile one is refused by what it names.
static wb_status fail(const machine *m, const char *what, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, m->at,
                   "%s: broken pickle at byte %llu: %s, download it again", m->source->name,
                   (unsigned long long)m->at, what);
}

// ---- The names a pickle may say -------------------------------------------------

typedef enum callable { CALL_DICT, CALL_TENSOR, CALL_PARAMETER, CALL_NEVER } callable;

typedef struct global {
    const char *module, *name;
    callable callable;
    wb_dtype_info dtype;  // of a storage
} global;

static const global globals[] = {
    {"collections", "OrderedDict", CALL_DICT, {0}},
    {"torch._utils", "_rebuild_tensor", CALL_TENSOR, {0}},
    {"torch._utils", "_rebuild_tensor_v2", CALL_TENSOR, {0}},
    {"torch._utils", "_rebuild_parameter", CALL_PARAMETER, {0}},
    {"torch", "FloatStorage", CALL_NEVER, {"FloatStorage", WB_DTYPE_F32, 4}},
    {"torch", "HalfStorage", CALL_NEVER, {"HalfStorage", WB_DTYPE_F16, 2}},
    {"torch", "BFloat16Storage", CALL_NEVER, {"BFloat16Storage", WB_DTYPE_BF16, 2}},
    {"torch", "LongStorage", CALL_NEVER, {"LongStorage", WB_DTYPE_I64, 8}},
    {"torch", "DoubleStorage", CALL_NEVER, {"DoubleStorage", WB_DTYPE_OTHER, 8}},
    {"torch", "IntStorage", CALL_NEVER, {"IntStorage", WB_DTYPE_OTHER, 4}},
    {"torch", "ShortStorage", CALL_NEVER, {"ShortStorage", WB_DTYPE_OTHER, 2}},
    {"torch", "CharStorage", CALL_NEVER, {"CharStorage", WB_DTYPE_OTHER, 1}},
    {"torch", "ByteStorage", CALL_NEVER, {"ByteStorage", WB_DTYPE_OTHER, 1}},
    {"torch", "BoolStorage", CALL_NEVER, {"BoolStorage", WB_DTYPE_OTHER, 1}},
};
enum { N_GLOBALS = sizeof globals / sizeof globals[0] };

static const char *span_text(const machine *m, wb_span span) {
    return (const char *)m->source->data + span.first;
}

// Exact: no prefix, no path inside an allowed name.
static bool span_is(const machine *m, wb_span span, const char *text) {
    return span.n_bytes == strlen(text) && memcmp(span_text(m, span), text, span.n_bytes) == 0;
}

static wb_status refuse_global(const machine *m, wb_span module, wb_span name, wb_error *err) {
    const int module_bytes = module.n_bytes < 80 ? (int)module.n_bytes : 80;
    const int name_bytes = name.n_bytes < 80 ? (int)name.n_bytes : 80;
    return wb_fail(err, WB_ERR_FORMAT, m->at,
                   "%s: its pickle names %.*s.%.*s, refused: only tensors are read, save "
                   "model.state_dict() or safetensors",
                   m->source->name, module_bytes, span_text(m, module), name_bytes,
                   span_text(m, name));
}

static wb_status push(machine *m, value v, wb_error *err);

// A name is looked up when it is mentioned, not when it is called: a pickle that mentions anything
// else is nobody's weights.
static wb_status push_global(machine *m, wb_span module, wb_span name, wb_error *err) {
    for (int i = 0; i < N_GLOBALS; i++)
        if (span_is(m, module, globals[i].module) && span_is(m, name, globals[i].name))
            return push(m, (value){.kind = GLOBAL, .number = i}, err);
    return refuse_global(m, module, name, err);
}

// ---- Arrays, bytes and the stack --------------------------------------------------

// Makes room for n more elements behind the first n_used; never more than max in all.
static wb_status reserve(machine *m, void **block, size_t *capacity, size_t n_used, size_t n,
                         size_t max, size_t element_bytes, wb_error *err) {
    if (n > max - n_used) return fail(m, "more values than any model needs", err);
    if (n <= *capacity - n_used) return WB_OK;
    size_t wanted = *capacity < max / 2 ? 2 * *capacity : max;
    const size_t most = n_used + n + (size_t)(m->end - m->at);  // one a byte that is left
    if (wanted > most) wanted = most;
    if (wanted < n_used + n) wanted = n_used + n;
    void *grown = wb_realloc_array(*block, n_used, wanted, element_bytes);
    if (!grown)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its pickle", m->source->name);
    *block = grown;
    *capacity = wanted;
    return WB_OK;
}

// The only way onto the stack.
static wb_status push(machine *m, value v, wb_error *err) {
    void *stack = m->stack;
    const wb_status status =
        reserve(m, &stack, &m->stack_capacity, m->depth, 1, MAX_STACK, sizeof *m->stack, err);
    if (status) return status;
    m->stack = stack;
    m->stack[m->depth++] = v;
    return WB_OK;
}

// The value on top, which must not be a mark; NULL where there is none.
static value *top(machine *m) {
    const bool has_top = m->depth > 0 && m->stack[m->depth - 1].kind != MARK;
    return has_top ? &m->stack[m->depth - 1] : NULL;
}

static wb_status pop(machine *m, value *v, wb_error *err) {
    *v = (value){0};
    const value *last = top(m);
    if (!last) return fail(m, "its stack is empty", err);
    *v = *last;
    m->depth--;
    return WB_OK;
}

// Pops all values above the last mark, and the mark: they stay at stack[depth + 1 ..], *n of them,
// until something is pushed.
static wb_status pop_mark(machine *m, size_t *n, wb_error *err) {
    for (*n = 0; *n < m->depth; ++*n) {
        if (m->stack[m->depth - 1 - *n].kind != MARK) continue;
        m->depth -= *n + 1;
        return WB_OK;
    }
    *n = 0;
    return fail(m, "a mark is missing", err);
}

// *number <- the next n little-endian bytes, n <= 8.
static wb_status read_number(machine *m, size_t n, uint64_t *number, wb_error *err) {
    *number = 0;
    if (m->end - m->at < n) return fail(m, "it is cut off", err);
    for (size_t i = 0; i < n; i++) *number |= (uint64_t)m->source->data[m->at + i] << (8 * i);
    m->at += n;
    return WB_OK;
}

// *span <- the next n bytes.
static wb_status read_span(machine *m, uint64_t n, wb_span *span, wb_error *err) {
    *span = (wb_span){0};
    if (n > m->end - m->at) return fail(m, "a text is longer than the pickle", err);
    *span = (wb_span){.first = m->at, .n_bytes = (uint32_t)n};
    m->at += n;
    return WB_OK;
}

static wb_status read_line(machine *m, wb_span *line, wb_error *err) {
    *line = (wb_span){0};
    const uint8_t *first = m->source->data + m->at;
    const uint8_t *newline = memchr(first, '\n', (size_t)(m->end - m->at));
    if (!newline) return fail(m, "a line has no end", err);
    *line = (wb_span){.first = m->at, .n_bytes = (uint32_t)(newline - first)};
    m->at += line->n_bytes + 1u;
    return WB_OK;
}

// ---- Opcodes: numbers and texts -----------------------------------------------------

// One opcode; its byte is read already and passed on for those that differ in it alone.
typedef wb_status op(machine *m, uint8_t code, wb_error *err);

// torch.save writes protocol 2 unless it is asked for another. Protocols 0 and 1 have other opcodes
// for numbers and texts, for which nobody asks.
static wb_status op_proto(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    uint64_t version;
    const wb_status status = read_number(m, 1, &version, err);
    if (status) return status;
    return version >= 2 && version <= 5 ? WB_OK : fail(m, "its protocol is not 2 to 5", err);
}

// Frames of protocol 4 help a reader of streams; here all bytes are there.
static wb_status op_frame(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    uint64_t n_bytes;
    const wb_status status = read_number(m, 8, &n_bytes, err);
    if (status) return status;
    return n_bytes <= m->end - m->at ? WB_OK : fail(m, "a frame is longer than the pickle", err);
}

static wb_status op_other(machine *m, uint8_t code, wb_error *err) {
    wb_span skipped;
    const wb_status status = read_span(m, code == 'G' ? 8 : 0, &skipped, err);  // BINFLOAT: 8 bytes
    return status ? status : push(m, (value){.kind = OTHER}, err);
}

static wb_status op_int(machine *m, uint8_t code, wb_error *err) {
    uint64_t number;
    const size_t n = code == 'K' ? 1 : code == 'M' ? 2 : 4;
    const wb_status status = read_number(m, n, &number, err);
    if (status) return status;
    const int64_t signed_number = code == 'J' ? (int32_t)(uint32_t)number : (int64_t)number;
    return push(m, (value){.kind = INT, .number = signed_number}, err);
}

// LONG1 and LONG4: a length, then as many bytes in two's complement.
static wb_status op_long(machine *m, uint8_t code, wb_error *err) {
    uint64_t n = 0, number = 0;
    wb_status status = read_number(m, code == 0x8a ? 1 : 4, &n, err);
    if (status) return status;
    if (n > 8) return fail(m, "a number has more than 64 bits", err);
    status = read_number(m, (size_t)n, &number, err);
    if (status) return status;
    const bool is_negative = n > 0 && (number >> (8 * n - 1) & 1);
    if (is_negative && n < 8) number |= UINT64_MAX << (8 * n);
    return push(m, (value){.kind = INT, .number = (int64_t)number}, err);
}

// Texts, and bytes (which nothing looks at), after a length of 1, 4 or 8 bytes.
static wb_status op_text(machine *m, uint8_t code, wb_error *err) {
    const bool is_short = code == 'U' || code == 0x8c || code == 'C';
    const bool is_wide = code == 0x8d || code == 0x8e;
    const bool is_bytes = code == 'B' || code == 'C' || code == 0x8e;
    uint64_t n = 0;
    wb_span span = {0};
    wb_status status = read_number(m, is_short ? 1 : is_wide ? 8 : 4, &n, err);
    if (!status) status = read_span(m, n, &span, err);
    if (status) return status;
    const value text = {
        .kind = is_bytes ? OTHER : TEXT, .n = span.n_bytes, .number = (int64_t)span.first};
    return push(m, text, err);
}

static wb_span text_span(value v) {
    return (wb_span){.first = (uint64_t)v.number, .n_bytes = v.n};
}

// ---- Opcodes: containers ------------------------------------------------------------

static wb_status op_mark(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    return push(m, (value){.kind = MARK}, err);
}

// Turns the n values at stack[first ..] into one tuple there.
static wb_status make_tuple(machine *m, size_t first, size_t n, wb_error *err) {
    void *cells = m->cells;
    const wb_status status =
        reserve(m, &cells, &m->cells_capacity, m->n_cells, n, MAX_CELLS, sizeof *m->cells, err);
    if (status) return status;
    m->cells = cells;
    if (n > 0) memcpy(m->cells + m->n_cells, m->stack + first, n * sizeof *m->cells);
    const value tuple = {.kind = TUPLE, .n = (uint32_t)n, .number = (int64_t)m->n_cells};
    m->n_cells += n;
    return push(m, tuple, err);
}

static wb_status op_tuple(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    size_t n;
    const wb_status status = pop_mark(m, &n, err);
    return status ? status : make_tuple(m, m->depth + 1, n, err);
}

// EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3.
static wb_status op_short_tuple(machine *m, uint8_t code, wb_error *err) {
    const size_t n = code == ')' ? 0 : (size_t)(code - 0x84);
    for (size_t i = 0; i < n; i++) {
        value dropped;
        const wb_status status = pop(m, &dropped, err);
        if (status) return status;
    }
    return make_tuple(m, m->depth, n, err);
}

static wb_status op_container(machine *m, uint8_t code, wb_error *err) {
    if (code == ']') return push(m, (value){.kind = LIST}, err);
    return push(m, (value){.kind = DICT, .number = m->n_dicts++}, err);
}

// APPEND and APPENDS.
static wb_status op_append(machine *m, uint8_t code, wb_error *err) {
    value item;
    size_t n;
    const wb_status status = code == 'a' ? pop(m, &item, err) : pop_mark(m, &n, err);
    if (status) return status;
    const value *list = top(m);
    return list && list->kind == LIST ? WB_OK
                                      : fail(m, "it appends to something else than a list", err);
}

// The state dict gets one more name; of any other dictionary nothing is kept.
static wb_status set_item(machine *m, value dict, value key, value item, wb_error *err) {
    if (dict.kind != DICT) return fail(m, "it sets an item of something else than a dict", err);
    if (dict.number != 0) return WB_OK;
    if (key.kind != TEXT) return fail(m, "a tensor's name is no text", err);
    const wb_span name = text_span(key);
    if (item.kind != TENSOR)
        return wb_fail(err, WB_ERR_MODEL, m->at,
                       "%s: its entry %.*s is no tensor, save model.state_dict() alone",
                       m->source->name, name.n_bytes < 80 ? (int)name.n_bytes : 80,
                       span_text(m, name));
    wb_pickle *out = m->out;
    void *items = out->items;
    const wb_status status = reserve(m, &items, &m->items_capacity, out->n_items, 1, WB_MAX_TENSORS,
                                     sizeof *out->items, err);
    if (status) return status;
    out->items = items;
    out->items[out->n_items++] = (wb_pickle_item){.name = name, .tensor = (uint32_t)item.number};
    return WB_OK;
}

static wb_status op_set_item(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    value item = {0}, key = {0};
    wb_status status = pop(m, &item, err);
    if (!status) status = pop(m, &key, err);
    if (status) return status;
    const value *dict = top(m);
    return dict ? set_item(m, *dict, key, item, err) : fail(m, "its stack is empty", err);
}

static wb_status op_set_items(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    size_t n;
    wb_status status = pop_mark(m, &n, err);
    if (status) return status;
    const value *dict = top(m);
    if (!dict || n % 2 != 0) return fail(m, "it sets items of nothing", err);
    const value *pairs = m->stack + m->depth + 1;
    for (size_t i = 0; i < n && !status; i += 2)
        status = set_item(m, *dict, pairs[i], pairs[i + 1], err);
    return status;
}

// BUILD: an OrderedDict gets its _metadata, which says nothing here.
static wb_status op_build(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    value state;
    const wb_status status = pop(m, &state, err);
    if (status) return status;
    const value *object = top(m);
    const bool is_metadata = object && object->kind == DICT && state.kind == DICT;
    return is_metadata ? WB_OK : fail(m, "it sets the state of something else than a dict", err);
}

// ---- Opcodes: the memo ----------------------------------------------------------------

// BINPUT, LONG_BINPUT, MEMOIZE. Every pickler numbers its memo 0, 1, 2 ..: a gap is refused, so
// that a memo is never longer than the pickle.
static wb_status op_put(machine *m, uint8_t code, wb_error *err) {
    uint64_t index = m->n_memo;
    wb_status status = WB_OK;
    if (code != 0x94) status = read_number(m, code == 'q' ? 1 : 4, &index, err);
    if (status) return status;
    const value *last = top(m);
    if (!last || index > m->n_memo) return fail(m, "its memo has a gap", err);
    void *memo = m->memo;
    status = reserve(m, &memo, &m->memo_capacity, m->n_memo, 1, MAX_MEMO, sizeof *m->memo, err);
    if (status) return status;
    m->memo = memo;
    m->memo[index] = *last;
    if (index == m->n_memo) m->n_memo++;
    return WB_OK;
}

// A copy: values are small, and what they point to never moves or dies before the machine.
static wb_status op_get(machine *m, uint8_t code, wb_error *err) {
    uint64_t index;
    const wb_status status = read_number(m, code == 'h' ? 1 : 4, &index, err);
    if (status) return status;
    return index < m->n_memo ? push(m, m->memo[index], err)
                             : fail(m, "its memo has no such value", err);
}

// ---- Opcodes: names and calls -----------------------------------------------------------

static wb_status op_global(machine *m, uint8_t code, wb_error *err) {
    wb_span module = {0}, name = {0};
    wb_status status = read_line(m, &module, err);
    if (!status) status = read_line(m, &name, err);
    if (status) return status;
    // INST calls what it names, and nothing that is allowed is called so.
    return code == 'i' ? refuse_global(m, module, name, err) : push_global(m, module, name, err);
}

// Protocol 4: module and name are texts on the stack.
static wb_status op_stack_global(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    value name = {0}, module = {0};
    wb_status status = pop(m, &name, err);
    if (!status) status = pop(m, &module, err);
    if (status) return status;
    if (module.kind != TEXT || name.kind != TEXT) return fail(m, "a name is no text", err);
    return push_global(m, text_span(module), text_span(name), err);
}

// BINPERSID: ("storage", torch.FloatStorage, "17", "cpu", 147456).
static wb_status op_storage(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    value id;
    const wb_status status = pop(m, &id, err);
    if (status) return status;
    const value *cell = id.kind == TUPLE && id.n == 5 ? m->cells + id.number : NULL;
    const bool is_storage = cell && cell[0].kind == TEXT &&
                            span_is(m, text_span(cell[0]), "storage") && cell[1].kind == GLOBAL &&
                            globals[cell[1].number].dtype.name && cell[2].kind == TEXT &&
                            cell[3].kind == TEXT && cell[4].kind == INT;
    if (!is_storage) return fail(m, "a persistent id is no storage", err);
    return push(m, (value){.kind = STORAGE, .number = id.number}, err);
}

// numbers[rank] <- a tuple of whole numbers; -1 if it is something else or too long.
static int read_dimensions(const machine *m, value tuple, int64_t *numbers) {
    if (tuple.kind != TUPLE || tuple.n > WB_MAX_RANK) return -1;
    for (uint32_t i = 0; i < tuple.n; i++) {
        const value cell = m->cells[tuple.number + i];
        if (cell.kind != INT) return -1;
        numbers[i] = cell.number;
    }
    return (int)tuple.n;
}

// _rebuild_tensor(storage, first, shape, stride), _v2 with requires_grad, hooks and metadata.
static wb_status call_tensor(machine *m, const value *args, size_t n, wb_error *err) {
    wb_pickle_tensor tensor = {0};
    if (n < 4 || args[0].kind != STORAGE || args[1].kind != INT)
        return fail(m, "a tensor is made of something else than a storage", err);
    tensor.rank = read_dimensions(m, args[2], tensor.shape);
    if (tensor.rank < 0 || read_dimensions(m, args[3], tensor.stride) != tensor.rank)
        return fail(m, "a tensor has no shape of up to four dimensions", err);
    const value *storage = m->cells + args[0].number;
    tensor.dtype = &globals[storage[1].number].dtype;
    tensor.storage = text_span(storage[2]);
    tensor.storage_elements = storage[4].number;
    tensor.first = args[1].number;
    wb_pickle *out = m->out;
    void *tensors = out->tensors;
    const wb_status status = reserve(m, &tensors, &m->tensors_capacity, out->n_tensors, 1,
                                     WB_MAX_TENSORS, sizeof tensor, err);
    if (status) return status;
    out->tensors = tensors;
    out->tensors[out->n_tensors] = tensor;
    return push(m, (value){.kind = TENSOR, .number = (int64_t)out->n_tensors++}, err);
}

// REDUCE: the only opcode that calls, and what it calls is a case here.
static wb_status op_reduce(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    value args = {0}, function = {0};
    wb_status status = pop(m, &args, err);
    if (!status) status = pop(m, &function, err);
    if (status) return status;
    if (function.kind != GLOBAL || args.kind != TUPLE)
        return fail(m, "it calls something else than a name", err);
    const value *cell = m->cells + args.number;
    switch (globals[function.number].callable) {
        case CALL_DICT:
            if (args.n != 0) break;
            return op_container(m, '}', err);
        case CALL_TENSOR: return call_tensor(m, cell, args.n, err);
        case CALL_PARAMETER:
            if (args.n < 1 || cell[0].kind != TENSOR) break;
            return push(m, cell[0], err);
        case CALL_NEVER: break;
    }
    return wb_fail(err, WB_ERR_FORMAT, m->at,
                   "%s: its pickle calls %s.%s in an unknown way, refused", m->source->name,
                   globals[function.number].module, globals[function.number].name);
}

static wb_status op_stop(machine *m, uint8_t code, wb_error *err) {
    (void)code;
    value root;
    const wb_status status = pop(m, &root, err);
    if (status) return status;
    // torch begins a state dict before anything in it, so the root is the first dictionary.
    if (root.kind != DICT || root.number != 0 || m->depth != 0)
        return wb_fail(err, WB_ERR_MODEL, m->at,
                       "%s: its pickle is no state dict, save model.state_dict()", m->source->name);
    m->is_done = true;
    return WB_OK;
}

// ---- The machine ----------------------------------------------------------------------

static op *const ops[256] = {
    [0x80] = op_proto,        [0x95] = op_frame,       ['.'] = op_stop,
    ['('] = op_mark,          ['N'] = op_other,        [0x88] = op_other,
    [0x89] = op_other,        ['G'] = op_other,        ['J'] = op_int,
    ['K'] = op_int,           ['M'] = op_int,          [0x8a] = op_long,
    [0x8b] = op_long,         ['X'] = op_text,         [0x8c] = op_text,
    [0x8d] = op_text,         ['U'] = op_text,         ['B'] = op_text,
    ['C'] = op_text,          [0x8e] = op_text,        [')'] = op_short_tuple,
    [0x85] = op_short_tuple,  [0x86] = op_short_tuple, [0x87] = op_short_tuple,
    ['t'] = op_tuple,         [']'] = op_container,    ['}'] = op_container,
    ['a'] = op_append,        ['e'] = op_append,       ['s'] = op_set_item,
    ['u'] = op_set_items,     ['b'] = op_build,        ['q'] = op_put,
    ['r'] = op_put,           [0x94] = op_put,         ['h'] = op_get,
    ['j'] = op_get,           ['c'] = op_global,       ['i'] = op_global,
    [0x93] = op_stack_global, ['Q'] = op_storage,      ['R'] = op_reduce,
};

// Opcodes that make or find objects in other ways, by name for the error.
static const char *const refused_ops[256] = {
    ['o'] = "OBJ",   [0x81] = "NEWOBJ", [0x92] = "NEWOBJ_EX", [0x82] = "EXT1",
    [0x83] = "EXT2", [0x84] = "EXT4",   ['P'] = "PERSID",     [0x97] = "NEXT_BUFFER",
};

static wb_status run(machine *m, wb_error *err) {
    wb_status status = WB_OK;
    while (!status && !m->is_done) {
        if (m->at == m->end) return fail(m, "it has no end", err);
        const uint8_t code = m->source->data[m->at++];
        if (ops[code])
            status = ops[code](m, code, err);
        else if (refused_ops[code])
            status = wb_fail(err, WB_ERR_FORMAT, m->at,
                             "%s: its pickle makes an object (%s), refused: only tensors are read",
                             m->source->name, refused_ops[code]);
        else
            status = fail(m, "no opcode that torch writes", err);
    }
    return status;
}

wb_status wb_pickle_open(wb_pickle *out, const wb_source *source, uint64_t first, uint64_t n_bytes,
                         wb_error *err) {
    *out = (wb_pickle){0};
    machine m = {.source = source, .at = first, .end = first + n_bytes, .out = out};
    const wb_status status =
        n_bytes > MAX_PICKLE_BYTES ? fail(&m, "longer than any model's", err) : run(&m, err);
    wb_free(m.stack);
    wb_free(m.cells);
    wb_free(m.memo);
    if (status) wb_pickle_close(out);
    return status;
}

void wb_pickle_close(wb_pickle *pickle) {
    wb_free(pickle->tensors);
    wb_free(pickle->items);
    *pickle = (wb_pickle){0};
}
