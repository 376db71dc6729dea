/* Prints the tables of control files and of configuration keys, for tests/layers.sh. */
#include "config.h"
#include "fs/fs.h"

#include <stdio.h>

static void print_control(void *arg, const char *where, const char *name, mode_t mode, bool pollable, bool waits)
{
	printf("%s %s %s%s%s%s\n", where, name, mode & 0444 ? "r" : "", mode & 0222 ? "w" : "",
		pollable ? " p" : "", waits ? " b" : "");
}

static void print_key(void *arg, const char *section, const char *key, const char *preset, const char *help)
{
	printf("key %s.%s %s\n", section, key, preset);
}

int main(void)
{
	fs_each_control(print_control, NULL);
	config_each(print_key, NULL);
	return 0;
}
