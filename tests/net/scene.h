/* What the engine's tests share: the pages of the server, one server and one rig per test, asserts. */
#pragma once

#include "fault_server.h"
#include "rig.h"

#define MIB (UINT64_C(1) << 20)
#define OLD "Sun, 06 Nov 1994 08:49:37 GMT"

extern struct fault_server server;
extern struct rig rig;

void scene_start(const struct engine_options *options);
int scene_set_up(void **state);
int scene_tear_down(void **state);

char *url_on(const char *host, const char *path);
struct fetch *fetch_of(const char *path); /* of file 1, from the server */
struct fetch_options *options_of(struct fetch *f);
void add_secrets(struct fetch *f);
/* Fills the blob up to END as an earlier attempt would have left it. */
void give(struct fetch *f, uint64_t end, uint64_t size, const char *validator);

/* The bytes [first, end) of the blob are VERSION's, from SHIFT bytes further on. */
void assert_bytes(uint64_t first, uint64_t end, unsigned version, int64_t shift);
void assert_whole(struct report *r, uint64_t size); /* done; frees R, as does the next */
void assert_ends(struct report *r, const char *outcome);
