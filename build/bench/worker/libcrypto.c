/* Times libcrypto alone, without any module or network: the ceiling.
 *
 *	libcrypto SECONDS THREADS[,THREADS...] */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"

static EVP_PKEY *rsa, *p256, *ed25519;
static unsigned char block[4096];

struct state {
	EVP_PKEY_CTX *sign;
	EVP_PKEY *message_key; /* for algorithms without a digest beside them */
	unsigned char out[8192];
};

static void *begin(EVP_PKEY *key)
{
	struct state *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	if (key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519) {
		s->message_key = key;
	} else if (key) {
		s->sign = EVP_PKEY_CTX_new(key, NULL);
		EVP_PKEY_sign_init(s->sign);
		if (key == rsa) {
			EVP_PKEY_CTX_set_rsa_padding(s->sign, RSA_PKCS1_PADDING);
			EVP_PKEY_CTX_set_signature_md(s->sign, EVP_sha256());
		}
	}
	return s;
}

static void *begin_rsa(int t) { (void)t; return begin(rsa); }
static void *begin_p256(int t) { (void)t; return begin(p256); }
static void *begin_ed25519(int t) { (void)t; return begin(ed25519); }
static void *begin_plain(int t) { (void)t; return begin(NULL); }

static void end(void *p)
{
	struct state *s = p;
	EVP_PKEY_CTX_free(s->sign);
	free(s);
}

static int step_sign(void *p)
{
	struct state *s = p;
	size_t n = sizeof s->out;
	return EVP_PKEY_sign(s->sign, s->out, &n, block, 32) != 1;
}

static int step_message(void *p)
{
	struct state *s = p;
	size_t n = sizeof s->out;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	int ok = EVP_DigestSignInit(c, NULL, NULL, NULL, s->message_key) == 1 && EVP_DigestSign(c, s->out, &n, block, 32) == 1;
	EVP_MD_CTX_free(c);
	return !ok;
}

static int step_cbc(void *p)
{
	static const unsigned char key[32], iv[16];
	struct state *s = p;
	int n = 0;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int ok = EVP_EncryptInit_ex(c, EVP_aes_256_cbc(), NULL, key, iv) == 1 && EVP_EncryptUpdate(c, s->out, &n, block, sizeof block) == 1;
	EVP_CIPHER_CTX_free(c);
	return !ok;
}

static int step_sha256(void *p)
{
	struct state *s = p;
	return EVP_Digest(block, 32, s->out, NULL, EVP_sha256(), NULL) != 1;
}

static int step_random(void *p) { return RAND_bytes(((struct state *)p)->out, 32) != 1; }

static int step_parts(void *p)
{
	struct state *s = p;
	size_t n = sizeof s->out;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	int ok = EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, rsa) == 1;
	for (int i = 0; ok && i < 16; i++)
		ok = EVP_DigestSignUpdate(c, block, sizeof block) == 1;
	ok = ok && EVP_DigestSignFinal(c, s->out, &n) == 1;
	EVP_MD_CTX_free(c);
	return !ok;
}

/* What the machine takes for a thread that wakes another one, and is woken by it. */
struct pair {
	pthread_t thread;
	int there[2], back[2];
};

static void *echo(void *p)
{
	struct pair *s = p;
	char byte;
	while (read(s->there[0], &byte, 1) == 1 && write(s->back[1], &byte, 1) == 1)
		;
	return NULL;
}

static void *begin_pair(int t)
{
	(void)t;
	struct pair *s = calloc(1, sizeof *s);
	if (!s || pipe(s->there) != 0 || pipe(s->back) != 0 || pthread_create(&s->thread, NULL, echo, s) != 0)
		abort();
	return s;
}

static int step_pair(void *p)
{
	struct pair *s = p;
	char byte = 0;
	return write(s->there[1], &byte, 1) != 1 || read(s->back[0], &byte, 1) != 1;
}

static void end_pair(void *p)
{
	struct pair *s = p;
	close(s->there[1]);
	pthread_join(s->thread, NULL);
	close(s->there[0]);
	close(s->back[0]);
	close(s->back[1]);
	free(s);
}

static const struct work wake_ups = {"wake a thread, be woken", begin_pair, step_pair, end_pair};

static const struct work works[] = {
	{"RSA-2048 sign", begin_rsa, step_sign, end},
	{"P-256 sign", begin_p256, step_sign, end},
	{"Ed25519 sign", begin_ed25519, step_message, end},
	{"AES-CBC 4 kB", begin_plain, step_cbc, end},
	{"SHA-256 of 32 B", begin_plain, step_sha256, end},
	{"random 32 B", begin_plain, step_random, end},
	{"sign 64 kB in 16 parts", begin_plain, step_parts, end},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	rsa = EVP_RSA_gen(2048);
	p256 = EVP_EC_gen("P-256");
	ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!rsa || !p256 || !ed25519)
		return 1;
	run_work(&wake_ups, 1, atof(argv[1]));
	for (size_t i = 0; i < sizeof works / sizeof *works; i++)
		for (char *t = argv[2]; *t && wanted(works[i].name, argv + 3); t += strcspn(t, ","), t += *t == ',')
			run_work(&works[i], atoi(t), atof(argv[1]));
	return 0;
}
