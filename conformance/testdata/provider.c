/* What OpenSSL's pkcs11-provider asks of a module:
 *
 *	provider MODULE PIN
 *
 * The newest interface by name; profiles and keys without a login; the token's
 * facts again in a forked child after C_Finalize and C_Initialize; a copy of a
 * key in the session, which may be refused; signatures; AES-GCM by message; the
 * state of a digest; searches in portions of 1,024. Exits with 0 if all is well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cryptoki.h"

#define LEN(a) (sizeof(a) / sizeof *(a))

static CK_FUNCTION_LIST_3_2_PTR p11;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static void check(const char *what, int ok)
{
	if (ok)
		return;
	printf("%s: wrong\n", what);
	fflush(stdout);
	_exit(1);
}

static void expect(const char *what, CK_RV rv, CK_RV want)
{
	if (rv != want)
		printf("%s: 0x%lx, want 0x%lx\n", what, rv, want);
	check(what, rv == want);
}

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol = library ? dlsym(library, "C_GetInterface") : NULL;
	CK_C_GetInterface get;
	CK_INTERFACE_PTR interface = NULL;
	CK_VERSION version = {3, 2};
	memcpy(&get, &symbol, sizeof get);
	check("C_GetInterface", symbol != NULL);
	expect("C_GetInterface", get((CK_UTF8CHAR_PTR) "PKCS 11", &version, &interface, 0), CKR_OK);
	p11 = interface->pFunctionList;
	check("version 3.2", p11->version.major == 3 && p11->version.minor == 2);
}

/* The provider compares all this between parent and child, byte by byte. */
struct facts {
	CK_INFO info;
	CK_SLOT_ID slots[32];
	CK_ULONG slot_count, mechanism_count;
	CK_SLOT_INFO slot;
	CK_TOKEN_INFO token;
	CK_MECHANISM_TYPE mechanisms[1024];
};

static void learn(struct facts *f)
{
	memset(f, 0, sizeof *f);
	expect("C_GetInfo", p11->C_GetInfo(&f->info), CKR_OK);
	f->slot_count = LEN(f->slots);
	expect("C_GetSlotList", p11->C_GetSlotList(CK_FALSE, f->slots, &f->slot_count), CKR_OK);
	check("a slot", f->slot_count > 0);
	expect("C_GetSlotInfo", p11->C_GetSlotInfo(f->slots[0], &f->slot), CKR_OK);
	expect("C_GetTokenInfo", p11->C_GetTokenInfo(f->slots[0], &f->token), CKR_OK);
	f->mechanism_count = LEN(f->mechanisms);
	expect("C_GetMechanismList", p11->C_GetMechanismList(f->slots[0], f->mechanisms, &f->mechanism_count), CKR_OK);
	f->token.ulSessionCount = f->token.ulRwSessionCount = 0;
}

static int has(const struct facts *f, CK_MECHANISM_TYPE type)
{
	for (CK_ULONG i = 0; i < f->mechanism_count; i++)
		if (f->mechanisms[i] == type)
			return 1;
	return 0;
}

static void initialize(void)
{
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
	expect("C_Initialize", p11->C_Initialize(&args), CKR_OK);
}

static CK_RV never_called(CK_SESSION_HANDLE session, CK_NOTIFICATION event, CK_VOID_PTR application)
{
	(void)session, (void)event, (void)application;
	return CKR_OK;
}

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session;
	expect("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, &session, never_called, &session), CKR_OK);
	return session;
}

static CK_ULONG find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *found, CK_ULONG max)
{
	CK_ULONG count;
	expect("C_FindObjectsInit", p11->C_FindObjectsInit(session, t, n), CKR_OK);
	expect("C_FindObjects", p11->C_FindObjects(session, found, max, &count), CKR_OK);
	expect("C_FindObjectsFinal", p11->C_FindObjectsFinal(session), CKR_OK);
	return count;
}

static CK_ULONG find_class(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *found)
{
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}};
	return find(session, t, LEN(t), found, 1024);
}

static void read_profiles(CK_SESSION_HANDLE session)
{
	CK_OBJECT_HANDLE found[1024];
	CK_ULONG n = find_class(session, CKO_PROFILE, found), profile;
	check("profiles without a login", n > 0);
	for (CK_ULONG i = 0; i < n; i++) {
		CK_ATTRIBUTE a = {CKA_PROFILE_ID, &profile, sizeof profile};
		expect("CKA_PROFILE_ID", p11->C_GetAttributeValue(session, found[i], &a, 1), CKR_OK);
	}
}

/* Every attribute that the provider wants of a key, each of which is fatal to miss. */
static void read_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, int private)
{
	static const CK_ATTRIBUTE_TYPE common[] = {CKA_CLASS, CKA_KEY_TYPE, CKA_COPYABLE, CKA_TOKEN, CKA_ID, CKA_LABEL,
		CKA_PUBLIC_KEY_INFO, CKA_EC_PARAMS, CKA_EC_POINT, CKA_ALLOWED_MECHANISMS};
	static const CK_ATTRIBUTE_TYPE privates[] = {CKA_ALWAYS_AUTHENTICATE, CKA_SENSITIVE, CKA_EXTRACTABLE};
	CK_BYTE value[4096];
	for (size_t i = 0; i < LEN(common) + (private ? LEN(privates) : 0); i++) {
		CK_ATTRIBUTE a = {i < LEN(common) ? common[i] : privates[i - LEN(common)], value, sizeof value};
		CK_RV rv = p11->C_GetAttributeValue(session, key, &a, 1);
		if (rv != CKR_OK)
			printf("attribute 0x%lx of a %s key\n", a.type, private ? "private" : "public");
		expect("C_GetAttributeValue", rv, CKR_OK);
	}
}

/* The provider would rather use a session copy; an error makes it stop trying. */
static void try_copy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_ATTRIBUTE t[] = {{CKA_TOKEN, &no, sizeof no}};
	CK_OBJECT_HANDLE copy;
	CK_RV rv = p11->C_CopyObject(session, key, t, LEN(t), &copy);
	if (rv == CKR_OK) {
		CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
		expect("C_SignInit with the copy", p11->C_SignInit(session, &m, copy), CKR_OK);
		expect("C_SignInit with none", p11->C_SignInit(session, NULL, 0), CKR_OK);
	}
	check("C_CopyObject", rv != CKR_GENERAL_ERROR && rv != CKR_FUNCTION_FAILED);
	printf("C_CopyObject answers 0x%lx\n", rv);
}

static void sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private, CK_OBJECT_HANDLE public)
{
	CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
	CK_BYTE data[] = "to be signed", signature[64];
	CK_ULONG n = 0;
	expect("C_SignInit", p11->C_SignInit(session, &m, private), CKR_OK);
	expect("C_Sign for the size", p11->C_Sign(session, data, sizeof data, NULL, &n), CKR_OK);
	check("the size", n == sizeof signature);
	expect("C_Sign", p11->C_Sign(session, data, sizeof data, signature, &n), CKR_OK);
	expect("C_VerifyInit", p11->C_VerifyInit(session, &m, public), CKR_OK);
	expect("C_Verify", p11->C_Verify(session, data, sizeof data, signature, n), CKR_OK);
}

/* The provider's public keys from elsewhere are session objects. */
static void import(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE public)
{
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_KEY_TYPE type = CKK_EC;
	CK_BYTE params[64], point[256];
	CK_ATTRIBUTE from[] = {{CKA_EC_PARAMS, params, sizeof params}, {CKA_EC_POINT, point, sizeof point}};
	expect("C_GetAttributeValue of a point", p11->C_GetAttributeValue(session, public, from, LEN(from)), CKR_OK);
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_TOKEN, &no, sizeof no},
		{CKA_VERIFY, &yes, sizeof yes}, from[0], from[1]};
	CK_OBJECT_HANDLE imported;
	expect("C_CreateObject of a session public key", p11->C_CreateObject(session, t, LEN(t), &imported), CKR_OK);
	expect("C_DestroyObject", p11->C_DestroyObject(session, imported), CKR_OK);
}

static void message_gcm(CK_SESSION_HANDLE session)
{
	CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0}, m = {CKM_AES_GCM, NULL, 0};
	CK_ULONG bytes = 32;
	CK_ATTRIBUTE t[] = {{CKA_VALUE_LEN, &bytes, sizeof bytes}, {CKA_ENCRYPT, &yes, sizeof yes}, {CKA_DECRYPT, &yes, sizeof yes}};
	CK_OBJECT_HANDLE key;
	expect("C_GenerateKey", p11->C_GenerateKey(session, &generate, t, LEN(t), &key), CKR_OK);
	for (int message = 0; message < 3; message++) {
		CK_BYTE iv[12] = {(CK_BYTE)message}, tag[16], ad[] = "header", plain[] = "one of several messages";
		CK_BYTE sealed[sizeof plain], opened[sizeof plain];
		CK_ULONG n = sizeof sealed;
		CK_GCM_MESSAGE_PARAMS gcm = {iv, sizeof iv, 0, CKG_NO_GENERATE, tag, 8 * sizeof tag};
		expect("C_MessageEncryptInit", p11->C_MessageEncryptInit(session, &m, key), CKR_OK);
		expect("C_EncryptMessage", p11->C_EncryptMessage(session, &gcm, sizeof gcm, ad, sizeof ad, plain, sizeof plain, sealed, &n), CKR_OK);
		expect("C_MessageEncryptFinal", p11->C_MessageEncryptFinal(session), CKR_OK);
		expect("C_MessageDecryptInit", p11->C_MessageDecryptInit(session, &m, key), CKR_OK);
		n = sizeof opened;
		expect("C_DecryptMessage", p11->C_DecryptMessage(session, &gcm, sizeof gcm, ad, sizeof ad, sealed, sizeof sealed, opened, &n), CKR_OK);
		check("the message", n == sizeof plain && memcmp(plain, opened, n) == 0);
		tag[0] ^= 1;
		n = sizeof opened;
		expect("C_DecryptMessage with a wrong tag", p11->C_DecryptMessage(session, &gcm, sizeof gcm, ad, sizeof ad, sealed, sizeof sealed, opened, &n),
			CKR_AEAD_DECRYPT_FAILED);
		expect("C_MessageDecryptFinal", p11->C_MessageDecryptFinal(session), CKR_OK);
	}
}

/* Duplicating a digest is saving its state and restoring it in another session. */
static void digest_state(CK_SESSION_HANDLE one, CK_SESSION_HANDLE other)
{
	CK_MECHANISM m = {CKM_SHA256, NULL, 0};
	CK_BYTE state[4096], first[32], second[32];
	CK_ULONG n = sizeof state, n1 = sizeof first, n2 = sizeof second;
	expect("C_DigestInit", p11->C_DigestInit(one, &m), CKR_OK);
	expect("C_DigestUpdate", p11->C_DigestUpdate(one, (CK_BYTE_PTR) "ab", 2), CKR_OK);
	expect("C_GetOperationState", p11->C_GetOperationState(one, state, &n), CKR_OK);
	expect("C_SetOperationState", p11->C_SetOperationState(other, state, n, 0, 0), CKR_OK);
	expect("C_DigestUpdate", p11->C_DigestUpdate(one, (CK_BYTE_PTR) "c", 1), CKR_OK);
	expect("C_DigestUpdate of the copy", p11->C_DigestUpdate(other, (CK_BYTE_PTR) "c", 1), CKR_OK);
	expect("C_DigestFinal", p11->C_DigestFinal(one, first, &n1), CKR_OK);
	expect("C_DigestFinal of the copy", p11->C_DigestFinal(other, second, &n2), CKR_OK);
	check("both digests", n1 == 32 && n2 == 32 && memcmp(first, second, 32) == 0);
}

static CK_OBJECT_HANDLE public_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private)
{
	CK_BYTE id[64];
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_ATTRIBUTE a = {CKA_ID, id, sizeof id};
	CK_OBJECT_HANDLE found[2];
	expect("CKA_ID", p11->C_GetAttributeValue(session, private, &a, 1), CKR_OK);
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, a};
	check("the public key, by id", find(session, t, LEN(t), found, 2) == 1);
	return found[0];
}

/* use is a process's life with the token, from its first session on. */
static void use(CK_SLOT_ID slot, const char *pin)
{
	CK_OBJECT_HANDLE found[1024];
	CK_SESSION_HANDLE session = open_session(slot);
	read_profiles(session);
	check("a public key without a login", find_class(session, CKO_PUBLIC_KEY, found) > 0);
	read_key(session, found[0], 0);
	expect("C_Login", p11->C_Login(session, CKU_USER, (CK_UTF8CHAR_PTR)pin, strlen(pin)), CKR_OK);
	expect("C_Login again", p11->C_Login(session, CKU_USER, (CK_UTF8CHAR_PTR)pin, strlen(pin)), CKR_USER_ALREADY_LOGGED_IN);
	check("a private key", find_class(session, CKO_PRIVATE_KEY, found) > 0);
	CK_OBJECT_HANDLE private = found[0], public = public_of(session, private);
	read_key(session, private, 1);
	try_copy(session, private);
	sign(session, private, public);
	import(session, public);
	message_gcm(session);
	digest_state(session, open_session(slot));
}

int main(int argc, char **argv)
{
	static struct facts parent, child;
	check("usage: provider MODULE PIN", argc == 3);
	load(argv[1]);
	initialize();
	learn(&parent);
	check("mechanisms the provider wants", has(&parent, CKM_ECDSA) && has(&parent, CKM_RSA_PKCS_PSS) && has(&parent, CKM_AES_GCM) && has(&parent, CKM_EDDSA));
	use(parent.slots[0], argv[2]);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		expect("C_Finalize in the child", p11->C_Finalize(NULL), CKR_OK);
		initialize();
		learn(&child);
		check("the child's facts are the parent's", memcmp(&parent, &child, sizeof parent) == 0);
		use(child.slots[0], argv[2]);
		expect("C_Finalize at the child's end", p11->C_Finalize(NULL), CKR_OK);
		fflush(stdout);
		_exit(0);
	}
	int status = 0;
	check("the child", waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CK_OBJECT_HANDLE found[1024];
	check("the parent still sees private keys", find_class(open_session(parent.slots[0]), CKO_PRIVATE_KEY, found) > 0);
	expect("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
	printf("provider ok\n");
	return 0;
}
