import java.security.*;
import java.security.cert.X509Certificate;
import java.util.*;

/**
 * Signs with every key of the key store, while the stack overflows again and
 * again and memory is collected: java Sign CONFIG PIN.
 */
public final class Sign {
    public static void main(String[] args) throws Exception {
        Token token = new Token(args);
        for (String alias : new TreeSet<>(Collections.list(token.keys.aliases()))) {
            if (!token.keys.isKeyEntry(alias)) {
                continue;
            }
            PrivateKey key = (PrivateKey) token.keys.getKey(alias, null);
            X509Certificate certificate = (X509Certificate) token.keys.getCertificate(alias);
            String algorithm = key.getAlgorithm().equals("EC") ? "SHA256withECDSA" : "SHA256withRSA";
            for (int i = 0; i < 5; i++) {
                overflows();
                System.gc();
                sign(token.provider, algorithm, key, certificate.getPublicKey());
            }
            System.out.println("signed with " + alias + ", a key of " + certificate.getSubjectX500Principal());
        }
        System.out.println("sign ok");
    }

    private static void sign(Provider p, String algorithm, PrivateKey key, PublicKey publicKey) throws Exception {
        Signature s = Signature.getInstance(algorithm, p);
        s.initSign(key);
        s.update(new byte[100]);
        byte[] signature = s.sign();
        Signature v = Signature.getInstance(algorithm);
        v.initVerify(publicKey);
        v.update(new byte[100]);
        Token.check(v.verify(signature), "signature");
    }

    private static int depth(int n) {
        return depth(n + 1) + 1;
    }

    /** The JVM notices the end of the stack by SIGSEGV: its handler must still be reached. */
    private static void overflows() {
        try {
            depth(0);
            throw new IllegalStateException("no StackOverflowError");
        } catch (StackOverflowError expected) {
            // as it must be
        }
    }
}
