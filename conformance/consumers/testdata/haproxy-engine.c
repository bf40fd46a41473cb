/*
 * HAProxy reads private keys from PEM files alone, through one function of
 * OpenSSL. With OpenSSL's pkcs11-provider, which Debian 12 has not, such a file
 * may name a key on a token. Preloaded, this does the same with the engine: the
 * key comes from the URI in HAPROXY_KEY_URI, whatever the file says.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <stdlib.h>
#include <openssl/engine.h>
#include <openssl/pem.h>

EVP_PKEY *PEM_read_bio_PrivateKey(BIO *file, EVP_PKEY **key, pem_password_cb *cb, void *arg)
{
	(void)file; (void)cb; (void)arg;
	ENGINE_load_dynamic();
	ENGINE *engine = ENGINE_by_id("pkcs11");
	if (engine == NULL || !ENGINE_init(engine))
		return NULL;
	EVP_PKEY *loaded = ENGINE_load_private_key(engine, getenv("HAPROXY_KEY_URI"), NULL, NULL);
	if (key != NULL)
		*key = loaded;
	return loaded;
}
