import java.security.*;

/** The token, opened through SunPKCS11: java Program CONFIG PIN. */
final class Token {
    final Provider provider;
    final KeyStore keys;
    final char[] pin;

    Token(String[] args) throws Exception {
        provider = Security.getProvider("SunPKCS11").configure(args[0]);
        Security.addProvider(provider);
        pin = args[1].toCharArray();
        keys = KeyStore.getInstance("PKCS11", provider);
        keys.load(null, pin);
    }

    static void check(boolean ok, String what) {
        if (!ok) {
            throw new IllegalStateException(what);
        }
    }
}
