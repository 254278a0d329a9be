// SPDX-License-Identifier: Apache-2.0
// data.pkl, hostile: every way that a pickle has to name, find, call or build an object, and every
// way to make a reader of pickles run out of memory, stack or time. A pickle that ran would leave
// the file "executed" behind.
#include <stdlib.h>
#include <string.h>

#include "mutations.h"

// The archive's pickle becomes *pickle.
static void set_pickle(folder *f, const bytes *pickle) {
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    put_archive(folder_add(f, "pytorch_model.bin"), pickle, &model, 0, model.n);
    tiny_close(&model);
}

static void sound_pickle(bytes *pickle) {
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    put_pickle(pickle, &model, 0, model.n);
    tiny_close(&model);
}

// find, then number times put. Both are written with \xNN for bytes and \0 for a zero byte.
static void put_escaped(bytes *b, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '\\' && c[1] == 'x') {
            char digits[3] = {c[2], c[3], 0};
            put_u8(b, (uint8_t)strtoul(digits, NULL, 16));
            c += 3;
        } else {
            put_u8(b, (uint8_t)*c);
        }
    }
}

static void whole_pickle(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes pickle = {0};
    put_escaped(&pickle, m->find);
    for (long long i = 0; i < m->number; i++) put_escaped(&pickle, m->put);
    set_pickle(f, &pickle);
    clear_bytes(&pickle);
}

// The sound pickle with put before its end (its last byte is STOP), or after PROTO.
static void end_pickle(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes pickle = {0}, added = {0};
    sound_pickle(&pickle);
    put_escaped(&added, m->put);
    replace_bytes(&pickle, m->number ? (size_t)m->number : pickle.n - 1, 0, added.data, added.n);
    set_pickle(f, &pickle);
    clear_bytes(&pickle);
    clear_bytes(&added);
}

// In the sound pickle find becomes put, which is as long or not.
static void edit_pickle(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes pickle = {0}, old_text = {0}, new_text = {0};
    sound_pickle(&pickle);
    put_escaped(&old_text, m->find);
    put_escaped(&new_text, m->put);
    const size_t at = find_bytes(&pickle, 0, old_text.data, old_text.n);
    replace_bytes(&pickle, at, old_text.n, new_text.data, new_text.n);
    set_pickle(f, &pickle);
    clear_bytes(&pickle);
    clear_bytes(&old_text);
    clear_bytes(&new_text);
}

static void cut_pickle(folder *f, const mutation *m, int variant) {
    bytes pickle = {0};
    sound_pickle(&pickle);
    pickle.n = pickle.n * (size_t)(2 * variant + 1) / (size_t)(2 * m->count);
    set_pickle(f, &pickle);
    clear_bytes(&pickle);
}

#define SHELL "touch executed"
#define WHOLE(name, find, expect) \
    { name, TORCH, whole_pickle, NULL, find, NULL, expect, 0, 0 }
#define BOMB(name, find, put, number, expect) \
    { name, TORCH, whole_pickle, NULL, find, put, expect, number, 0 }
#define END(name, put, expect) \
    { name, TORCH, end_pickle, NULL, NULL, put, expect, 0, 0 }
#define START(name, put, expect) \
    { name, TORCH, end_pickle, NULL, NULL, put, expect, 2, 0 }
#define EDIT(name, find, put, expect) \
    { name, TORCH, edit_pickle, NULL, find, put, expect, 0, 0 }

const mutation pickle_mutations[] = {
    // Names, and calls of them.
    WHOLE("os.system by REDUCE", "\\x80\\x02cos\nsystem\nX\\x0e\\x00\\x00\\x00" SHELL "\\x85R.",
          "names os.system, refused"),
    WHOLE("posix.system by REDUCE",
          "\\x80\\x02cposix\nsystem\nX\\x0e\\x00\\x00\\x00" SHELL "\\x85R.",
          "names posix.system, refused"),
    WHOLE("protocol 0", "cos\nsystem\n(S'" SHELL "'\ntR.", "names os.system, refused"),
    WHOLE("os.system by STACK_GLOBAL",
          "\\x80\\x04\\x95\\x20\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x8c\\x02os\\x8c\\x06system\\x93"
          "\\x8c\\x0e" SHELL "\\x85R.",
          "names os.system, refused"),
    WHOLE("os.system by INST", "\\x80\\x02(X\\x0e\\x00\\x00\\x00" SHELL "ios\nsystem\n.",
          "names os.system, refused"),
    WHOLE("OrderedDict by INST", "\\x80\\x02(icollections\nOrderedDict\n.",
          "names collections.OrderedDict, refused"),
    WHOLE("os.system by OBJ", "\\x80\\x02(cos\nsystem\nX\\x0e\\x00\\x00\\x00" SHELL "o.",
          "names os.system, refused"),
    WHOLE("an object by OBJ", "\\x80\\x02(ccollections\nOrderedDict\no.", "makes an object (OBJ)"),
    WHOLE("subprocess.Popen by NEWOBJ",
          "\\x80\\x02csubprocess\nPopen\nX\\x0e\\x00\\x00\\x00" SHELL "\\x85\\x81.",
          "names subprocess.Popen, refused"),
    WHOLE("an object by NEWOBJ", "\\x80\\x02ccollections\nOrderedDict\n)\\x81.",
          "makes an object (NEWOBJ)"),
    WHOLE("an object by NEWOBJ_EX", "\\x80\\x04ccollections\nOrderedDict\n)}\\x92.", "(NEWOBJ_EX)"),
    WHOLE("an extension", "\\x80\\x02\\x82\\x01.", "makes an object (EXT1)"),
    WHOLE("a wide extension", "\\x80\\x02\\x84\\x01\\x00\\x00\\x00.", "makes an object (EXT4)"),
    WHOLE("a text's persistent id", "\\x80\\x02P" SHELL "\n.", "makes an object (PERSID)"),
    WHOLE("builtins.eval", "\\x80\\x02c__builtin__\neval\nX\\x01\\x00\\x00\\x001\\x85R.",
          "names __builtin__.eval, refused"),
    WHOLE("getattr", "\\x80\\x02cbuiltins\ngetattr\n", "names builtins.getattr, refused"),
    WHOLE("torch.load", "\\x80\\x02ctorch.serialization\nload\n", "names torch.serialization.load"),
    WHOLE("torch.hub", "\\x80\\x02ctorch.hub\nload\n", "names torch.hub.load, refused"),
    WHOLE("a tensor by its class", "\\x80\\x02ctorch\nFloatTensor\n",
          "names torch.FloatTensor, refused"),
    WHOLE("a name inside an allowed one", "\\x80\\x02ccollections\nOrderedDict.update\n",
          "names collections.OrderedDict.update, refused"),
    WHOLE("an allowed name elsewhere", "\\x80\\x02cos\nOrderedDict\n",
          "names os.OrderedDict, refused"),
    WHOLE("half an allowed name", "\\x80\\x02ccollections\nOrdered\n",
          "names collections.Ordered, refused"),
    WHOLE("no name", "\\x80\\x02c\n\n", "names ., refused"),
    WHOLE("a name without end", "\\x80\\x02ccollections", "a line has no end"),
    BOMB("a name of a megabyte", "\\x80\\x02cos\n", "system", 1 << 17, "a line has no end"),
    END("os.system after the tensors", "cos\nsystem\nX\\x0e\\x00\\x00\\x00" SHELL "\\x85R0",
        "names os.system"),
    START("os.system before the tensors", "cos\nsystem\nX\\x0e\\x00\\x00\\x00" SHELL "\\x85R0",
          "names os.system"),
    EDIT("os.system for a storage type", "ctorch\nFloatStorage\n", "cos\nsystem\n",
         "names os.system"),
    EDIT("os.system for the dictionary", "ccollections\nOrderedDict\n", "cposix\nsystem\n",
         "names posix.system"),
    EDIT("os.system for the tensors", "ctorch._utils\n_rebuild_tensor_v2\n", "cos\nsystem\n",
         "names os.system"),
    EDIT("a builtin's state", "sssb.", "sssbcos\nsystem\nb.", "names os.system"),
    // Calls in unknown ways.
    WHOLE("calls a storage", "\\x80\\x02ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage"),
    WHOLE("calls a text", "\\x80\\x02X\\x02\\x00\\x00\\x00os)R.",
          "calls something else than a name"),
    WHOLE("calls with a dictionary", "\\x80\\x02ccollections\nOrderedDict\n}R.",
          "calls something else"),
    WHOLE("a dictionary of arguments", "\\x80\\x02ccollections\nOrderedDict\nK\\x01\\x85R.",
          "calls collections"),
    WHOLE("a tensor of nothing", "\\x80\\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
          "something else than a storage"),
    WHOLE("a tensor of numbers", "\\x80\\x02ctorch._utils\n_rebuild_tensor_v2\n(K\\x00K\\x00))tR.",
          "something else than a storage"),
    WHOLE("a parameter of a text",
          "\\x80\\x02ctorch._utils\n_rebuild_parameter\nX\\x00\\x00\\x00\\x00\\x85R.",
          "calls torch._utils._rebuild_parameter"),
    WHOLE("a persistent text", "\\x80\\x02X\\x02\\x00\\x00\\x00osQ.",
          "persistent id is no storage"),
    WHOLE("a persistent module",
          "\\x80\\x02(X\\x06\\x00\\x00\\x00moduleX\\x01\\x00\\x00\\x00aX\\x01\\x00\\x00\\x00bX"
          "\\x01\\x00\\x00\\x00cK\\x00tQ.",
          "persistent id is no storage"),
    WHOLE("a persistent id in two halves",
          "\\x80\\x02X\\x07\\x00\\x00\\x00storage"
          "ctorch\nFloatStorage\n\\x86q\\x00X\\x01\\x00\\x00\\x000X\\x03\\x00\\x00\\x00cpuK\\xc0\\x"
          "87h\\x00Q.",
          "persistent id is no storage"),
    WHOLE("a storage of dictionaries",
          "\\x80\\x02(X\\x07\\x00\\x00\\x00storage"
          "ccollections\nOrderedDict\nX\\x01\\x00\\x00\\x000X\\x03\\x00\\x00\\x00cpuK\\xc0tQ.",
          "persistent id is no storage"),
    WHOLE("a tensor that starts at a text",
          "\\x80\\x02ctorch._utils\n_rebuild_tensor_v2\n((X\\x07\\x00\\x00\\x00storage"
          "ctorch\nFloatStorage\nX\\x01\\x00\\x00\\x000X\\x03\\x00\\x00\\x00cpuK\\xc0tQX\\x01\\x00"
          "\\x00\\x000))tR.",
          "something else than a storage"),
    EDIT("a storage of 2^63", "K\\xc0tq\\x08Q",
         "\\x8a\\x08\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x7ftq\\x08Q", "storage of another size"),
    EDIT("a storage of a long name", "X\\x01\\x00\\x00\\x000q",
         "X\\x50\\x00\\x00\\x0000000000001111111111222222222233333333334444444444555555555566666666"
         "667777777777q",
         "storage of no legal name"),
    EDIT("a storage of another folder", "X\\x01\\x00\\x00\\x000q",
         "X\\x0b\\x00\\x00\\x00../version/q", "storage that is not there"),
    EDIT("a sabotage for a storage", "storage", "sabotag", "persistent id is no storage"),
    // Something else than a state dict.
    WHOLE("nothing", "\\x80\\x02N.", "no state dict"),
    WHOLE("a number", "\\x80\\x02K\\x07.", "no state dict"),
    WHOLE("a list of dictionaries", "\\x80\\x02]}a.", "no state dict"),
    WHOLE("an empty dictionary", "\\x80\\x02}.", "is missing"),
    WHOLE("a second dictionary", "\\x80\\x02}q\\x00}.", "no state dict"),
    WHOLE("a training checkpoint",
          "\\x80\\x02}X\\x05\\x00\\x00\\x00modelccollections\nOrderedDict\n)Rs.",
          "its entry model is no tensor"),
    WHOLE("a number for a name", "\\x80\\x02}K\\x01Ns.", "name is no text"),
    WHOLE("a dictionary in itself", "\\x80\\x02}q\\x00X\\x01\\x00\\x00\\x00ah\\x00s.",
          "its entry a is no tensor"),
    EDIT("a name with a 0 byte", "classifier.bias", "classifier\\x00bias", "0 byte"),
    // Broken machines.
    WHOLE("an empty pickle", "", "it has no end"),
    WHOLE("only a stop", ".", "its stack is empty"),
    WHOLE("protocol 9", "\\x80\\x09}.", "protocol is not 2 to 5"),
    WHOLE("an unknown opcode", "\\x80\\x02\\xff.", "no opcode that torch writes"),
    WHOLE("text opcodes", "(dp0\nS'a'\n.", "no opcode that torch writes"),
    WHOLE("a mark missing", "\\x80\\x02K\\x01K\\x02t.", "mark is missing"),
    WHOLE("pops a mark", "\\x80\\x02(\\x85.", "its stack is empty"),
    WHOLE("an odd dictionary", "\\x80\\x02}(K\\x01u.", "items of nothing"),
    WHOLE("items of a number", "\\x80\\x02K\\x01(K\\x01K\\x01u.", "something else than a dict"),
    WHOLE("an item of a list", "\\x80\\x02]K\\x01K\\x01s.", "something else than a dict"),
    WHOLE("appends to a number", "\\x80\\x02K\\x01K\\x01a.", "something else than a list"),
    WHOLE("state of a number", "\\x80\\x02K\\x01}b.", "state of something else"),
    WHOLE("state of code", "\\x80\\x02}X\\x01\\x00\\x00\\x00ab.", "state of something else"),
    WHOLE("a memo that is not there", "\\x80\\x02h\\x05.", "no such value"),
    WHOLE("a memo far away", "\\x80\\x02}r\\xff\\xff\\xff\\x7f.", "memo has a gap"),
    WHOLE("a memo of nothing", "\\x80\\x02q\\x00.", "memo has a gap"),
    WHOLE("a memo of a mark", "\\x80\\x02(q\\x00.", "memo has a gap"),
    WHOLE("a text of 4 GB", "\\x80\\x02X\\xff\\xff\\xff\\xffabc.", "longer than the pickle"),
    WHOLE("a text of 2^64", "\\x80\\x04\\x8d\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xffabc.",
          "longer than the pickle"),
    WHOLE("bytes of 2^63", "\\x80\\x04\\x8e\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80abc.",
          "longer than the pickle"),
    WHOLE("a number of 2 GB", "\\x80\\x02\\x8b\\xff\\xff\\xff\\x7f\\x01.", "more than 64 bits"),
    WHOLE("a number of -1 bytes", "\\x80\\x02\\x8b\\xff\\xff\\xff\\xff\\x01.", "more than 64 bits"),
    WHOLE("a number of 9 bytes",
          "\\x80\\x02\\x8a\\x09\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01.",
          "more than 64 bits"),
    WHOLE("a memo one too far", "\\x80\\x02}q\\x00h\\x01.", "no such value"),
    WHOLE("a number of 255 bytes", "\\x80\\x02\\x8a\\xff\\x01.", "more than 64 bits"),
    WHOLE("a frame of 2^64", "\\x80\\x04\\x95\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff}.",
          "longer than the pickle"),
    WHOLE("a length cut off", "\\x80\\x02X\\x01\\x00", "cut off"),
    {"pickle cut", TORCH, cut_pickle, NULL, NULL, NULL, "broken pickle", 0, 16},
    // Bombs.
    BOMB("a million marks", "\\x80\\x02", "(", 1 << 20, "more values"),
    BOMB("a million nothings", "\\x80\\x02", "N", 1 << 20, "more values"),
    BOMB("a million lists in lists", "\\x80\\x02", "](", 1 << 20, "more values"),
    BOMB("a million tuples in tuples", "\\x80\\x02)", "\\x85", 1 << 20, "more values"),
    BOMB("a million memos", "\\x80\\x04}", "\\x94", 1 << 20, "more values"),
    BOMB("doubling tuples", "\\x80\\x02)q\\x00", "h\\x00h\\x00\\x86q\\x00", 1 << 18, "more values"),
    // Just below the limits, where a byte of the pickle costs most.
    BOMB("140,000 memos", "\\x80\\x04}", "\\x94", 140000, "it has no end"),
    BOMB("250,000 memos", "\\x80\\x04}", "\\x94", 250000, "it has no end"),
    BOMB("250,000 tuples in tuples", "\\x80\\x02)", "\\x85", 250000, "it has no end"),
    BOMB("32,000 nothings", "\\x80\\x02", "N", 32000, "it has no end"),
    BOMB("16,000 tensors",
         "\\x80\\x04ctorch._utils\n_rebuild_tensor_v2\n\\x94((\\x8c\\x07storagectorch\n"
         "FloatStorage\n\\x8c\\x010\\x8c\\x03cpuK\\xc0tQK\\x00)))t\\x94]",
         "h\\x00h\\x01Ra", 16000, "it has no end"),
    BOMB("8,200 tensors",
         "\\x80\\x04ctorch._utils\n_rebuild_tensor_v2\n\\x94((\\x8c\\x07storagectorch\n"
         "FloatStorage\n\\x8c\\x010\\x8c\\x03cpuK\\xc0tQK\\x00)))t\\x94]",
         "h\\x00h\\x01Ra", 8200, "it has no end"),
    BOMB("a million dictionaries", "\\x80\\x02]", "}a", 1 << 20, "it has no end"),
    BOMB("items without end", "\\x80\\x02}}", "K\\x01K\\x01s", 1 << 18, "it has no end"),
    BOMB("a million frames", "\\x80\\x04", "\\x95\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00", 1 << 17,
         "it has no end"),
    {0},
};
