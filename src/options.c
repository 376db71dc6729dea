/* Three tables: the dashed options, the words after -o that have a meaning of ours, and those that
 * mount(8), fstab and libfuse have meanings for. What is in none of them is refused by name: a mistyped
 * option that is silently ignored would be found out much later.
 */
#include "options.h"

#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char options_help[] =
	"usage: xferfs [OPTION]... DESTINATION MOUNTPOINT\n"
	"\n"
	"Shows a durable queue of transfer jobs as directories in MOUNTPOINT. Files of completed jobs appear\n"
	"below DESTINATION; queue and unfinished data are kept in DESTINATION/.xferfs.\n"
	"\n"
	"  -f                    stay in the foreground\n"
	"  -d                    the same, and log every request\n"
	"  -o staging=DIR        keep queue and unfinished data in DIR\n"
	"  -o config=FILE        instead of $XDG_CONFIG_HOME/xferfs/xferfs.conf, or root's /etc/xferfs.conf\n"
	"  -o SECTION.KEY=VALUE  any key of the configuration\n"
	"  -o allow_other        let other users in (and any other option of mount(8) and libfuse)\n"
	"  --check-config        read the configuration, print what is in force, and exit\n"
	"  -V, --version         print the version and exit\n"
	"  -h, --help            print this and exit\n"
	"\n"
	"Stop it with: fusermount3 -u MOUNTPOINT\n";

static int refuse(char **ret_reason, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(char **ret_reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_reason, format, args) < 0)
		*ret_reason = NULL;
	va_end(args);
	return *ret_reason ? -EINVAL : -ENOMEM;
}

static int replace(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* --- words after -o ------------------------------------------------------------------------------ */

static int set_staging(struct options *o, const char *value)
{
	return replace(&o->staging, value);
}

static int set_config(struct options *o, const char *value)
{
	return replace(&o->config_path, value);
}

static const struct {
	const char *name;
	int (*set)(struct options *o, const char *value);
} own_words[] = {
	{ "staging", set_staging },
	{ "config", set_config },
};

enum treatment { IGNORE, PASS };

/* A name that ends in '*' stands for all that begin like it, one that ends in '=' for all its values. */
static const struct {
	const char *name;
	enum treatment treatment;
} mount_words[] = {
	{ "allow_other", PASS }, { "allow_root", PASS }, { "auto_unmount", PASS }, { "ro", PASS },
	{ "nosuid", PASS }, { "nodev", PASS }, { "noexec", PASS }, { "noatime", PASS }, { "nodiratime", PASS },
	{ "sync", PASS }, { "dirsync", PASS },
	{ "context=", PASS }, { "fscontext=", PASS }, { "defcontext=", PASS }, { "rootcontext=", PASS },
	/* The defaults, or without a meaning here. There is nothing to execute in a mount, and no device. */
	{ "defaults", IGNORE }, { "rw", IGNORE }, { "suid", IGNORE }, { "dev", IGNORE }, { "exec", IGNORE },
	{ "async", IGNORE }, { "atime", IGNORE }, { "diratime", IGNORE }, { "relatime", IGNORE },
	{ "norelatime", IGNORE }, { "strictatime", IGNORE }, { "nostrictatime", IGNORE },
	{ "lazytime", IGNORE }, { "nolazytime", IGNORE }, { "iversion", IGNORE }, { "noiversion", IGNORE },
	{ "mand", IGNORE }, { "nomand", IGNORE }, { "silent", IGNORE }, { "loud", IGNORE },
	{ "default_permissions", IGNORE }, { "fsname=", IGNORE }, { "subtype=", IGNORE },
	/* For mount(8), systemd-fstab-generator(8) and people. */
	{ "auto", IGNORE }, { "noauto", IGNORE }, { "user", IGNORE }, { "user=", IGNORE }, { "nouser", IGNORE },
	{ "users", IGNORE }, { "nousers", IGNORE }, { "owner", IGNORE }, { "noowner", IGNORE },
	{ "group", IGNORE }, { "nogroup", IGNORE }, { "nofail", IGNORE }, { "_netdev", IGNORE },
	{ "comment=", IGNORE }, { "uhelper=", IGNORE }, { "helper=", IGNORE }, { "x-*", IGNORE }, { "X-*", IGNORE },
};

static bool word_fits(const char *name, const char *word)
{
	size_t len = strlen(name);

	if (name[len - 1] == '*')
		return !strncmp(word, name, len - 1);
	if (name[len - 1] == '=')
		return !strncmp(word, name, len);
	return !strcmp(word, name);
}

static int add_setting(struct options *o, const char *key, size_t key_len, const char *value)
{
	struct setting *more = realloc(o->settings, (o->nsettings + 1) * sizeof(*more));
	struct setting s;

	if (!more)
		return -ENOMEM;
	o->settings = more;
	s = (struct setting){ .section_key = strndup(key, key_len), .value = strdup(value) };
	if (!s.section_key || !s.value) {
		free(s.section_key);
		free(s.value);
		return -ENOMEM;
	}
	o->settings[o->nsettings++] = s;
	return 0;
}

/* One word of -o, its backslashes resolved. */
static int take_word(struct options *o, const char *word, char **ret_reason)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);

	if (!*word)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(own_words); i++) {
		if (strlen(own_words[i].name) != len || memcmp(own_words[i].name, word, len) != 0)
			continue;
		if (!equals || !equals[1])
			return refuse(ret_reason, "-o %.*s needs a value", (int)len, word);
		return own_words[i].set(o, equals + 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(mount_words); i++) {
		if (!word_fits(mount_words[i].name, word))
			continue;
		if (mount_words[i].treatment == PASS) {
			if (o->mount_options.len)
				buf_addc(&o->mount_options, ',');
			/* libfuse splits at commas again; SELinux contexts contain them. */
			for (const char *p = word; *p; p++) {
				if (*p == ',' || *p == '\\')
					buf_addc(&o->mount_options, '\\');
				buf_addc(&o->mount_options, *p);
			}
		}
		return o->mount_options.failed ? -ENOMEM : 0;
	}
	if (!strcmp(word, "remount"))
		return refuse(ret_reason, "cannot be remounted: unmount it, and mount it with the new options");
	if (equals && memchr(word, '.', len))
		return add_setting(o, word, len, equals + 1);
	return refuse(ret_reason, "unknown option -o %.*s", (int)len, word);
}

/* Commas separate; "\," is a comma and "\\" a backslash, as for libfuse and mount(8). */
static int take_words(struct options *o, const char *list, char **ret_reason)
{
	cleanup_buf struct buf word = { 0 };

	for (const char *p = list;; p++) {
		int r;

		if (*p && *p != ',') {
			if (*p == '\\' && (p[1] == ',' || p[1] == '\\'))
				p++;
			buf_addc(&word, *p);
			continue;
		}
		if (word.failed)
			return -ENOMEM;
		r = take_word(o, word.len ? word.data : "", ret_reason);
		if (r || !*p)
			return r;
		buf_reset(&word);
	}
}

/* --- dashed options ------------------------------------------------------------------------------ */

/* mount(8) hands its own -f to a helper: everything but the mount. */
static int set_foreground(struct options *o, const char *arg, char **ret_reason)
{
	if (o->helper)
		o->action = ACTION_FAKE;
	else
		o->foreground = true;
	return 0;
}

static int set_debug(struct options *o, const char *arg, char **ret_reason)
{
	o->debug = o->foreground = true;
	return 0;
}

static int set_version(struct options *o, const char *arg, char **ret_reason)
{
	o->action = ACTION_VERSION;
	return 0;
}

static int set_help(struct options *o, const char *arg, char **ret_reason)
{
	o->action = ACTION_HELP;
	return 0;
}

static int set_check_config(struct options *o, const char *arg, char **ret_reason)
{
	o->action = ACTION_CHECK_CONFIG;
	return 0;
}

static int set_nothing(struct options *o, const char *arg, char **ret_reason)
{
	return 0;
}

static const struct flag {
	const char *letter; /* with a ':' it takes an argument (getopt(3)); "": none */
	const char *word;   /* after "--"; NULL: none */
	int (*set)(struct options *o, const char *arg, char **ret_reason);
} flags[] = {
	{ "f", NULL, set_foreground },
	{ "d", NULL, set_debug },
	{ "o:", NULL, take_words },
	{ "V", "version", set_version },
	{ "h", "help", set_help },
	{ "", "check-config", set_check_config },
	/* mount(8) hands these to every helper: verbose, no mtab, sloppy, namespace, type. */
	{ "v", NULL, set_nothing },
	{ "n", NULL, set_nothing },
	{ "s", NULL, set_nothing },
	{ "N:", NULL, set_nothing },
	{ "t:", NULL, set_nothing },
};

static const struct flag *find_letter(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].letter[0] == letter)
			return &flags[i];
	return NULL;
}

static const struct flag *find_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].word && !strcmp(flags[i].word, word))
			return &flags[i];
	return NULL;
}

/* argv[*i] is "-abc", "-oVALUE", or "-o" with its value in argv[*i + 1]. */
static int take_letters(struct options *o, int argc, char *const argv[], int *i, char **ret_reason)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		const struct flag *f = find_letter(*p);
		int r;

		if (!f)
			return refuse(ret_reason, "unknown option -%c", *p);
		if (f->letter[1] != ':') {
			r = f->set(o, NULL, ret_reason);
			if (r)
				return r;
			continue;
		}
		if (p[1])
			return f->set(o, p + 1, ret_reason);
		if (*i + 1 >= argc)
			return refuse(ret_reason, "-%c needs a value", *p);
		return f->set(o, argv[++*i], ret_reason);
	}
	return 0;
}

static int take_path(struct options *o, const char *path, char **ret_reason)
{
	char **field = !o->destination ? &o->destination : !o->mountpoint ? &o->mountpoint : NULL;

	if (!field)
		return refuse(ret_reason, "one argument too many: %s", path);
	if (!*path)
		return refuse(ret_reason, "%s is empty", field == &o->destination ? "DESTINATION" : "MOUNTPOINT");
	return replace(field, path);
}

/* Called as mount.xferfs or mount.fuse.xferfs. */
static bool is_helper(const char *program)
{
	const char *slash = strrchr(program, '/');

	return !strncmp(slash ? slash + 1 : program, "mount.", 6);
}

int options_parse(int argc, char *const argv[], struct options *o, char **ret_reason)
{
	bool only_paths = false;

	*o = (struct options){ .helper = argc > 0 && is_helper(argv[0]) };
	*ret_reason = NULL;
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		int r;

		if (only_paths || arg[0] != '-' || !arg[1]) {
			r = take_path(o, arg, ret_reason);
		} else if (!strcmp(arg, "--")) {
			only_paths = true;
			continue;
		} else if (arg[1] == '-') {
			const struct flag *f = find_word(arg + 2);

			r = f ? f->set(o, NULL, ret_reason) : refuse(ret_reason, "unknown option %s", arg);
		} else {
			r = take_letters(o, argc, argv, &i, ret_reason);
		}
		if (r)
			return r;
	}
	if ((o->action == ACTION_SERVE || o->action == ACTION_FAKE) && !o->mountpoint)
		return refuse(ret_reason, "usage: xferfs [OPTION]... DESTINATION MOUNTPOINT (see xferfs -h)");
	return 0;
}

/* --- paths --------------------------------------------------------------------------------------- */

/* Absolute and without links, where the last component need not exist, or cannot be looked at because
 * its server died. NULL, with errno. */
static char *resolve_loosely(const char *path)
{
	cleanup_free char *copy = strdup(path);
	cleanup_free char *parent = NULL;
	char *name, *end, *joined;

	if (!copy)
		return NULL;
	for (end = copy + strlen(copy); end > copy + 1 && end[-1] == '/'; end--)
		end[-1] = '\0';
	name = strrchr(copy, '/');
	if (!name) {
		parent = realpath(".", NULL);
		name = copy;
	} else {
		*name++ = '\0';
		parent = realpath(*copy ? copy : "/", NULL);
	}
	if (!parent)
		return NULL;
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		errno = ENOENT;
		return NULL;
	}
	return asprintf(&joined, "%s/%s", strcmp(parent, "/") ? parent : "", name) < 0 ? NULL : joined;
}

static char *resolve(const char *path, bool (*may_fail_with)(int err))
{
	char *real = realpath(path, NULL);

	return real || !may_fail_with(errno) ? real : resolve_loosely(path);
}

static bool is_missing(int err)
{
	return err == ENOENT;
}

static bool is_dead_mount(int err)
{
	return err == ENOTCONN || err == ECONNABORTED || err == EIO;
}

static bool never(int err)
{
	return false;
}

static int resolve_field(char **field, const char *what, bool (*may_fail_with)(int err), char **ret_reason)
{
	char *path = resolve(*field, may_fail_with);
	struct stat st;
	int r;

	if (!path)
		return refuse(ret_reason, "%s %s: %s", what, *field, strerror(errno));
	free(*field);
	*field = path;
	r = stat(path, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (r && !may_fail_with(-r))
		return refuse(ret_reason, "%s %s: %s", what, path, strerror(-r));
	return 0;
}

/* Whether INNER is OUTER or below it; both resolved. */
static bool is_within(const char *inner, const char *outer)
{
	size_t len = strlen(outer);

	if (!strcmp(outer, "/"))
		return true;
	return !strncmp(inner, outer, len) && (!inner[len] || inner[len] == '/');
}

int options_resolve(struct options *o, char **ret_reason)
{
	struct stat st;
	int r;

	*ret_reason = NULL;
	r = resolve_field(&o->destination, "destination", never, ret_reason);
	if (r)
		return r;
	r = resolve_field(&o->mountpoint, "mountpoint", is_dead_mount, ret_reason);
	if (r)
		return r;
	if (!o->staging && asprintf(&o->staging, "%s/.xferfs",
			strcmp(o->destination, "/") ? o->destination : "") < 0) {
		o->staging = NULL;
		return -ENOMEM;
	}
	/* Whoever may write in the destination could send root's queue, and its mode, anywhere. */
	if (lstat(o->staging, &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid != geteuid())
		return refuse(ret_reason, "staging directory %s: a link that another user has made", o->staging);
	r = resolve_field(&o->staging, "staging directory", is_missing, ret_reason);
	if (r)
		return r;
	/* Below the mount they could not be reached any more: not by people, and by the daemon only through
	 * itself. */
	if (is_within(o->destination, o->mountpoint))
		return refuse(ret_reason, "the mount on %s would hide the destination %s", o->mountpoint, o->destination);
	if (is_within(o->staging, o->mountpoint))
		return refuse(ret_reason, "the mount on %s would hide the staging directory %s", o->mountpoint, o->staging);
	if (is_within(o->mountpoint, o->staging))
		return refuse(ret_reason, "the mountpoint %s lies in the staging directory", o->mountpoint);
	return 0;
}

char *options_default_config(void)
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	const struct passwd *pw;
	char *path;

	if (geteuid() == 0)
		return strdup("/etc/xferfs.conf");
	if (base && *base == '/')
		return asprintf(&path, "%s/xferfs/xferfs.conf", base) < 0 ? NULL : path;
	if (!home || *home != '/') {
		pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : NULL;
	}
	if (!home)
		return NULL;
	return asprintf(&path, "%s/.config/xferfs/xferfs.conf", home) < 0 ? NULL : path;
}

void options_release(struct options *o)
{
	free(o->destination);
	free(o->mountpoint);
	free(o->staging);
	free(o->config_path);
	buf_release(&o->mount_options);
	for (size_t i = 0; i < o->nsettings; i++) {
		free(o->settings[i].section_key);
		free(o->settings[i].value);
	}
	free(o->settings);
	*o = (struct options){ 0 };
}
