/* One C function per operation, so that each costs one crossing from Go. All
 * answer 1 for success and leave no error in the thread's queue. */
#ifndef GREP11_GLUE_H
#define GREP11_GLUE_H

#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>

EVP_PKEY *lc_private(const uint8_t *pkcs8, long n);
EVP_PKEY *lc_public(const uint8_t *spki, long n);
EVP_PKEY *lc_generate_rsa(int bits, const uint8_t *e, int n);
EVP_PKEY *lc_generate_ec(const char *curve);

/* The DER is OPENSSL_malloc'ed, its length the result; 0 for failure. */
int lc_to_pkcs8(EVP_PKEY *k, uint8_t **der);
int lc_to_spki(EVP_PKEY *k, uint8_t **der);
void lc_free(uint8_t *der, int n);

/* A private key made ready to sign, or for the bare RSA function: looking the
 * algorithm up takes longer than a small signature. NULL for failure. */
EVP_PKEY_CTX *lc_ready_to_sign(EVP_PKEY *k);
EVP_PKEY_CTX *lc_ready_for_rsa(EVP_PKEY *k);
int lc_sign(EVP_PKEY_CTX *c, const uint8_t *digest, size_t n, uint8_t *sig, size_t *nsig);
int lc_rsa_private(EVP_PKEY_CTX *c, const uint8_t *in, size_t n, uint8_t *out, size_t *nout);

int lc_rsa_public(EVP_PKEY *k, const uint8_t *in, size_t n, uint8_t *out, size_t *nout);
int lc_verify(EVP_PKEY *k, const uint8_t *digest, size_t n, const uint8_t *sig, size_t nsig);
int lc_derive(EVP_PKEY *k, EVP_PKEY *peer, uint8_t *out, size_t *nout);
int lc_check_public(EVP_PKEY *k);

/* out = a*G + b*P on a named curve, big-endian scalars, uncompressed points;
 * either half may be absent (length 0). Single products take constant time. */
int lc_multiply(const char *curve, const uint8_t *a, int na, const uint8_t *point, size_t np, const uint8_t *b, int nb,
		uint8_t *out, size_t nout);
/* The length of the order of a named curve. */
int lc_order(const char *curve, uint8_t *out, int nout);

#endif
