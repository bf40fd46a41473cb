"""A Python program on the token, with PyKCS11 (package python3-pykcs11)."""

import os
from PyKCS11 import *

library = PyKCS11Lib()
library.load(os.environ["PKCS11_MODULE"])


def token_slot(label):
    for slot in library.getSlotList(tokenPresent=True):
        if library.getTokenInfo(slot).label.strip() == label:
            return slot
    raise SystemExit("no token " + label)


def refused(code, call, *args):
    try:
        call(*args)
    except PyKCS11Error as error:
        assert error.value == code, error
    else:
        raise SystemExit("not refused")


session = library.openSession(token_slot(os.environ["GREP11_TOKEN"]), CKF_SERIAL_SESSION | CKF_RW_SESSION)
refused(CKR_PIN_INCORRECT, session.login, "not the PIN")
session.login(os.environ["GREP11_PIN"])
refused(CKR_USER_ALREADY_LOGGED_IN, session.login, os.environ["GREP11_PIN"])

public, private = session.generateKeyPair(
    [(CKA_CLASS, CKO_PUBLIC_KEY), (CKA_TOKEN, CK_TRUE), (CKA_LABEL, "python"), (CKA_VERIFY, CK_TRUE),
     (CKA_MODULUS_BITS, 2048), (CKA_PUBLIC_EXPONENT, (1, 0, 1))],
    [(CKA_CLASS, CKO_PRIVATE_KEY), (CKA_TOKEN, CK_TRUE), (CKA_LABEL, "python"), (CKA_SIGN, CK_TRUE)])
for mechanism in (Mechanism(CKM_SHA256_RSA_PKCS, None), RSA_PSS_Mechanism(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32)):
    signature = session.sign(private, b"snake", mechanism)
    assert session.verify(public, b"snake", signature, mechanism)
    assert not session.verify(public, b"snail", signature, mechanism)

found = session.findObjects([(CKA_LABEL, "python")])
assert len(found) == 2, found
for key in found:
    session.setAttributeValue(key, [(CKA_LABEL, "renamed")])
    print(session.getAttributeValue(key, [CKA_CLASS, CKA_LABEL, CKA_PRIVATE_EXPONENT, CKA_SENSITIVE, CKA_MODULUS_BITS]))

aes = session.generateKey([(CKA_CLASS, CKO_SECRET_KEY), (CKA_KEY_TYPE, CKK_AES), (CKA_VALUE_LEN, 32), (CKA_ENCRYPT, CK_TRUE), (CKA_DECRYPT, CK_TRUE)])
gcm = AES_GCM_Mechanism(bytes(12), b"header", 128)
sealed = session.encrypt(aes, b"snake", gcm)
assert bytes(session.decrypt(aes, sealed, gcm)) == b"snake"
refused(CKR_ENCRYPTED_DATA_INVALID, session.decrypt, aes, bytes(sealed)[:-1] + b"x", gcm)

for key in found:
    session.destroyObject(key)
assert session.findObjects([(CKA_LABEL, "renamed")]) == []
session.logout()
session.closeSession()
print("python ok")
