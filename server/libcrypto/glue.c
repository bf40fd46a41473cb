//go:build cgo && !purego

#include "glue.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static int done(int ok)
{
	if (ok <= 0)
		ERR_clear_error();
	return ok > 0;
}

EVP_PKEY *lc_private(const uint8_t *pkcs8, long n)
{
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &pkcs8, n);
	EVP_PKEY *k = info ? EVP_PKCS82PKEY(info) : NULL;

	PKCS8_PRIV_KEY_INFO_free(info);
	done(k != NULL);
	return k;
}

EVP_PKEY *lc_public(const uint8_t *spki, long n)
{
	EVP_PKEY *k = d2i_PUBKEY(NULL, &spki, n);

	done(k != NULL);
	return k;
}

EVP_PKEY *lc_generate_rsa(int bits, const uint8_t *e, int n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *exponent = BN_bin2bn(e, n, NULL);
	EVP_PKEY *k = NULL;

	done(ctx && exponent && EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) > 0 &&
	     EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, exponent) > 0 && EVP_PKEY_generate(ctx, &k) > 0);
	BN_free(exponent);
	EVP_PKEY_CTX_free(ctx);
	return k;
}

EVP_PKEY *lc_generate_ec(const char *curve)
{
	EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);

	done(k != NULL);
	return k;
}

int lc_to_pkcs8(EVP_PKEY *k, uint8_t **der)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k);
	int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, der) : 0;

	PKCS8_PRIV_KEY_INFO_free(info);
	return done(n) ? n : 0;
}

int lc_to_spki(EVP_PKEY *k, uint8_t **der)
{
	int n = i2d_PUBKEY(k, der);

	return done(n) ? n : 0;
}

void lc_free(uint8_t *der, int n) { OPENSSL_clear_free(der, n); }

static EVP_PKEY_CTX *ready(EVP_PKEY_CTX *c, int ok)
{
	if (done(c && ok))
		return c;
	EVP_PKEY_CTX_free(c);
	return NULL;
}

EVP_PKEY_CTX *lc_ready_to_sign(EVP_PKEY *k)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);

	return ready(c, c && EVP_PKEY_sign_init(c) > 0);
}

EVP_PKEY_CTX *lc_ready_for_rsa(EVP_PKEY *k)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);

	return ready(c, c && EVP_PKEY_decrypt_init(c) > 0 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING) > 0);
}

int lc_sign(EVP_PKEY_CTX *c, const uint8_t *digest, size_t n, uint8_t *sig, size_t *nsig)
{
	return done(EVP_PKEY_sign(c, sig, nsig, digest, n));
}

/* libcrypto blinds it and checks the result against the public key. */
int lc_rsa_private(EVP_PKEY_CTX *c, const uint8_t *in, size_t n, uint8_t *out, size_t *nout)
{
	return done(EVP_PKEY_decrypt(c, out, nout, in, n));
}

int lc_rsa_public(EVP_PKEY *k, const uint8_t *in, size_t n, uint8_t *out, size_t *nout)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
	int ok = c && EVP_PKEY_encrypt_init(c) > 0 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING) > 0 &&
		 EVP_PKEY_encrypt(c, out, nout, in, n) > 0;

	EVP_PKEY_CTX_free(c);
	return done(ok);
}

int lc_verify(EVP_PKEY *k, const uint8_t *digest, size_t n, const uint8_t *sig, size_t nsig)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
	int ok = ctx && EVP_PKEY_verify_init(ctx) > 0 && EVP_PKEY_verify(ctx, sig, nsig, digest, n) > 0;

	EVP_PKEY_CTX_free(ctx);
	return done(ok);
}

int lc_derive(EVP_PKEY *k, EVP_PKEY *peer, uint8_t *out, size_t *nout)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
	int ok = ctx && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, peer) > 0 &&
		 (!EVP_PKEY_is_a(k, "DH") || EVP_PKEY_CTX_set_dh_pad(ctx, 1) > 0) && EVP_PKEY_derive(ctx, out, nout) > 0;

	EVP_PKEY_CTX_free(ctx);
	return done(ok);
}

int lc_check_public(EVP_PKEY *k)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
	int ok = ctx && EVP_PKEY_public_check(ctx) > 0;

	EVP_PKEY_CTX_free(ctx);
	return done(ok);
}

static EC_GROUP *group_of(const char *curve)
{
	int nid = OBJ_sn2nid(curve);

	return nid == NID_undef ? NULL : EC_GROUP_new_by_curve_name(nid);
}

int lc_multiply(const char *curve, const uint8_t *a, int na, const uint8_t *point, size_t np, const uint8_t *b, int nb,
		uint8_t *out, size_t nout)
{
	EC_GROUP *g = group_of(curve);
	EC_POINT *r = g ? EC_POINT_new(g) : NULL;
	EC_POINT *p = g && np ? EC_POINT_new(g) : NULL;
	BIGNUM *m = na ? BN_bin2bn(a, na, NULL) : NULL;
	BIGNUM *n = nb ? BN_bin2bn(b, nb, NULL) : NULL;
	int ok = r && (!np || (p && n && EC_POINT_oct2point(g, p, point, np, NULL))) && (!na || m) &&
		 EC_POINT_mul(g, r, m, p, n, NULL) && !EC_POINT_is_at_infinity(g, r) &&
		 EC_POINT_point2oct(g, r, POINT_CONVERSION_UNCOMPRESSED, out, nout, NULL) == nout;

	BN_clear_free(m);
	BN_clear_free(n);
	EC_POINT_free(p);
	EC_POINT_clear_free(r);
	EC_GROUP_free(g);
	return done(ok);
}

int lc_order(const char *curve, uint8_t *out, int nout)
{
	EC_GROUP *g = group_of(curve);
	int ok = g && BN_bn2binpad(EC_GROUP_get0_order(g), out, nout) == nout;

	EC_GROUP_free(g);
	return done(ok);
}
