/* Times operations of a PKCS#11 module, loaded as an application loads it:
 *
 *	module MODULE.so TOKEN PIN SECONDS KEYS THREADS[,THREADS...] [OPERATION...]
 *
 * KEYS is how many keys "find" has to choose from. Without operations, all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../c/cryptoki.h"
#include "loop.h"

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static long keys;
static CK_OBJECT_HANDLE rsa, p256, ed25519, aes; /* made when first wanted */

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_BYTE digest_info[51] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
	0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20, 0x5a};

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void die(const char *what, CK_RV rv)
{
	fprintf(stderr, "module: %s: 0x%lx\n", what, rv);
	exit(1);
}

static void must(const char *what, CK_RV rv)
{
	if (rv != CKR_OK)
		die(what, rv);
}

static CK_SESSION_HANDLE open_session(void)
{
	CK_SESSION_HANDLE s;
	must("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s));
	return s;
}

/* What one thread works with: its session and the operation's data. */
struct state {
	CK_SESSION_HANDLE session;
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE key;
	CK_BYTE *in;
	CK_ULONG in_len;
	CK_BYTE out[8192];
	unsigned thread, count;
};

static struct state *fresh(int thread)
{
	struct state *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	s->session = open_session();
	s->thread = (unsigned)thread;
	return s;
}

static void release(void *p)
{
	struct state *s = p;
	p11->C_CloseSession(s->session);
	free(s);
}

/* Token keys, made once by the process: session keys would vanish with the
 * thread that made them. */
static CK_OBJECT_HANDLE make_pair(CK_MECHANISM_TYPE type, CK_ATTRIBUTE *pub, CK_ULONG n)
{
	CK_MECHANISM m = {type, NULL, 0};
	CK_ATTRIBUTE priv[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1}};
	CK_OBJECT_HANDLE a, b = 0;
	CK_SESSION_HANDLE s = open_session();
	CK_RV rv = p11->C_GenerateKeyPair(s, &m, pub, n, priv, LENGTH(priv), &a, &b);
	if (rv != CKR_OK)
		complain("key pair 0x%lx", rv);
	return rv == CKR_OK ? b : 0;
}

static CK_OBJECT_HANDLE rsa_key(void)
{
	CK_ULONG bits = 2048;
	CK_BYTE e[] = {1, 0, 1};
	CK_ATTRIBUTE pub[] = {{CKA_TOKEN, &yes, 1}, {CKA_VERIFY, &yes, 1}, {CKA_MODULUS_BITS, &bits, sizeof bits}, {CKA_PUBLIC_EXPONENT, e, sizeof e}};
	return rsa ? rsa : (rsa = make_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, pub, LENGTH(pub)));
}

static CK_OBJECT_HANDLE p256_key(void)
{
	CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
	CK_ATTRIBUTE pub[] = {{CKA_TOKEN, &yes, 1}, {CKA_VERIFY, &yes, 1}, {CKA_EC_PARAMS, curve, sizeof curve}};
	return p256 ? p256 : (p256 = make_pair(CKM_EC_KEY_PAIR_GEN, pub, LENGTH(pub)));
}

static CK_OBJECT_HANDLE ed25519_key(void)
{
	CK_BYTE curve[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
	CK_ATTRIBUTE pub[] = {{CKA_TOKEN, &yes, 1}, {CKA_VERIFY, &yes, 1}, {CKA_EC_PARAMS, curve, sizeof curve}};
	return ed25519 ? ed25519 : (ed25519 = make_pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, pub, LENGTH(pub)));
}

static CK_RV make_aes(CK_SESSION_HANDLE s, const char *label, CK_OBJECT_HANDLE *key)
{
	CK_MECHANISM m = {CKM_AES_KEY_GEN, NULL, 0};
	CK_ULONG len = 32;
	CK_ATTRIBUTE t[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &no, 1}, {CKA_ENCRYPT, &yes, 1}, {CKA_DECRYPT, &yes, 1},
		{CKA_VALUE_LEN, &len, sizeof len}, {CKA_LABEL, (void *)label, strlen(label)}};
	return p11->C_GenerateKey(s, &m, t, LENGTH(t), key);
}

static CK_OBJECT_HANDLE aes_key(void)
{
	if (!aes && make_aes(open_session(), "bench", &aes) != CKR_OK)
		complain("no AES key");
	return aes;
}

/* Each begin_ below says what is timed. Keys are made before the threads start
 * (see main), so that these only look them up. */
static void *begin_sign(int thread, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key, CK_BYTE *in, CK_ULONG n)
{
	struct state *s = fresh(thread);
	s->mechanism.mechanism = type;
	s->key = key;
	s->in = in;
	s->in_len = n;
	return key ? s : (release(s), NULL);
}

static void *begin_rsa(int t) { return begin_sign(t, CKM_RSA_PKCS, rsa_key(), digest_info, sizeof digest_info); }
static void *begin_p256(int t) { return begin_sign(t, CKM_ECDSA, p256_key(), digest_info, 32); }
static void *begin_ed25519(int t) { return begin_sign(t, CKM_EDDSA, ed25519_key(), digest_info, 32); }

static int failing(const char *what, CK_RV rv)
{
	if (rv == CKR_OK)
		return 0;
	complain("%s 0x%lx", what, rv);
	return 1;
}

static int step_sign(void *p)
{
	struct state *s = p;
	CK_ULONG n = sizeof s->out;
	return failing("C_SignInit", p11->C_SignInit(s->session, &s->mechanism, s->key)) ||
		failing("C_Sign", p11->C_Sign(s->session, s->in, s->in_len, s->out, &n));
}

enum { PARTS = 16, PART = 4096 };

static CK_BYTE block[PART];

static void *begin_parts(int t) { return begin_sign(t, CKM_SHA256_RSA_PKCS, rsa_key(), block, PART); }

static int step_parts(void *p)
{
	struct state *s = p;
	CK_ULONG n = sizeof s->out;
	if (failing("C_SignInit", p11->C_SignInit(s->session, &s->mechanism, s->key)))
		return 1;
	for (int i = 0; i < PARTS; i++)
		if (failing("C_SignUpdate", p11->C_SignUpdate(s->session, s->in, s->in_len)))
			return 1;
	return failing("C_SignFinal", p11->C_SignFinal(s->session, s->out, &n));
}

static void *begin_cbc(int t)
{
	static CK_BYTE iv[16];
	struct state *s = begin_sign(t, CKM_AES_CBC, aes_key(), block, PART);
	if (s) {
		s->mechanism.pParameter = iv;
		s->mechanism.ulParameterLen = sizeof iv;
	}
	return s;
}

static int step_encrypt(void *p)
{
	struct state *s = p;
	CK_ULONG n = sizeof s->out;
	return failing("C_EncryptInit", p11->C_EncryptInit(s->session, &s->mechanism, s->key)) ||
		failing("C_Encrypt", p11->C_Encrypt(s->session, s->in, s->in_len, s->out, &n));
}

static void *begin_sha256(int t) { return begin_sign(t, CKM_SHA256, 1, block, 32); }

static int step_digest(void *p)
{
	struct state *s = p;
	CK_ULONG n = sizeof s->out;
	return failing("C_DigestInit", p11->C_DigestInit(s->session, &s->mechanism)) ||
		failing("C_Digest", p11->C_Digest(s->session, s->in, s->in_len, s->out, &n));
}

static void *begin_plain(int t) { return fresh(t); }

static int step_random(void *p)
{
	struct state *s = p;
	return failing("C_GenerateRandom", p11->C_GenerateRandom(s->session, s->out, 32));
}

static int step_session(void *p)
{
	CK_SESSION_HANDLE h;
	(void)p;
	return failing("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &h)) ||
		failing("C_CloseSession", p11->C_CloseSession(h));
}

static int step_create(void *p)
{
	struct state *s = p;
	CK_OBJECT_HANDLE key;
	char label[64];
	snprintf(label, sizeof label, "created-%d-%u-%u", (int)getpid(), s->thread, s->count++);
	return failing("C_GenerateKey", make_aes(s->session, label, &key));
}

/* How many keys have this label. */
static CK_ULONG count_label(CK_SESSION_HANDLE s, const char *label)
{
	CK_OBJECT_HANDLE found[2];
	CK_ULONG n = 0;
	CK_ATTRIBUTE t[] = {{CKA_LABEL, (void *)label, strlen(label)}};
	if (failing("C_FindObjectsInit", p11->C_FindObjectsInit(s, t, 1)) ||
		failing("C_FindObjects", p11->C_FindObjects(s, found, 2, &n)) ||
		failing("C_FindObjectsFinal", p11->C_FindObjectsFinal(s)))
		return 0;
	return n;
}

static int step_find(void *p)
{
	struct state *s = p;
	char label[32];
	snprintf(label, sizeof label, "key-%ld", (long)(s->thread * 7919 + s->count++ * 104729) % keys);
	CK_ULONG n = count_label(s->session, label);
	if (n != 1)
		complain("%lu keys found for one label", n);
	return n != 1;
}

static const struct work works[] = {
	{"RSA-2048 sign", begin_rsa, step_sign, release},
	{"P-256 sign", begin_p256, step_sign, release},
	{"Ed25519 sign", begin_ed25519, step_sign, release},
	{"AES-CBC 4 kB", begin_cbc, step_encrypt, release},
	{"SHA-256 of 32 B", begin_sha256, step_digest, release},
	{"random 32 B", begin_plain, step_random, release},
	{"open + close session", begin_plain, step_session, release},
	{"sign 64 kB in 16 parts", begin_parts, step_parts, release},
	{"find by label", begin_plain, step_find, release},
	{"create token keys", begin_plain, step_create, release},
};

/* Fills the token for "find", unless an earlier run has done so. */
static void fill(void)
{
	CK_SESSION_HANDLE s = open_session();
	CK_OBJECT_HANDLE key;
	char last[32];
	snprintf(last, sizeof last, "key-%ld", keys - 1);
	if (count_label(s, last) > 0)
		return;
	for (long i = 0; i < keys; i++) {
		char label[32];
		snprintf(label, sizeof label, "key-%ld", i);
		must("fill", make_aes(s, label, &key));
	}
}

static void find_slot(const char *token)
{
	CK_SLOT_ID slots[64];
	CK_ULONG n = LENGTH(slots);
	must("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &n));
	for (CK_ULONG i = 0; i < n; i++) {
		CK_TOKEN_INFO info;
		if (p11->C_GetTokenInfo(slots[i], &info) == CKR_OK && strncmp((char *)info.label, token, strlen(token)) == 0) {
			slot = slots[i];
			return;
		}
	}
	die("no such token", 0);
}

/* Loading and C_Initialize are timed together: a short-lived program pays both. */
static void load(const char *path)
{
	double begun = now();
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_RV (*list)(CK_FUNCTION_LIST **) = NULL;
	if (library)
		*(void **)&list = dlsym(library, "C_GetFunctionList");
	if (!list) {
		fprintf(stderr, "module: %s\n", dlerror());
		exit(1);
	}
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
	must("C_GetFunctionList", list(&p11));
	must("C_Initialize", p11->C_Initialize(&args));
	double ms = (now() - begun) * 1e3;
	printf("load + C_Initialize\t1\t%.1f\t%.1f\t\n", 1e3 / ms, ms * 1e3);
}

/* The keys a work needs are made here, by one thread. */
static void prepare(const struct work *w)
{
	void *state = w->begin(0);
	if (state && w->end)
		w->end(state);
}

int main(int argc, char **argv)
{
	if (argc < 7) {
		fprintf(stderr, "usage: module MODULE.so TOKEN PIN SECONDS KEYS THREADS[,THREADS...] [OPERATION...]\n");
		return 2;
	}
	load(argv[1]);
	find_slot(argv[2]);
	must("C_Login", p11->C_Login(open_session(), CKU_USER, (CK_BYTE *)argv[3], strlen(argv[3])));
	keys = atol(argv[5]);
	if (wanted("find by label", argv + 7) && keys > 0)
		fill();
	for (size_t i = 0; i < LENGTH(works); i++) {
		if (!wanted(works[i].name, argv + 7))
			continue;
		prepare(&works[i]);
		for (char *t = argv[6]; *t; t += strcspn(t, ","), t += *t == ',')
			run_work(&works[i], atoi(t), atof(argv[4]));
	}
	p11->C_Finalize(NULL);
	return 0;
}
