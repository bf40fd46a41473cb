import java.io.FileInputStream;
import java.security.*;
import java.security.cert.*;
import java.util.*;

/** Lists the key store, then stores a key made elsewhere with its certificate: java Store CONFIG PIN FILE.p12. */
public final class Store {
    public static void main(String[] args) throws Exception {
        Token token = new Token(args);
        KeyStore file = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(args[2])) {
            file.load(in, "password".toCharArray());
        }
        token.keys.setKeyEntry("imported", file.getKey("made", "password".toCharArray()), null, file.getCertificateChain("made"));

        KeyStore again = KeyStore.getInstance("PKCS11", token.provider);
        again.load(null, token.pin);
        for (String alias : new TreeSet<>(Collections.list(again.aliases()))) {
            System.out.println("alias " + alias + " key=" + again.isKeyEntry(alias));
            if (again.isKeyEntry(alias)) {
                use(token, again, alias);
            }
        }
        again.deleteEntry("imported");
        Token.check(!again.containsAlias("imported"), "the deleted entry is still there");
        System.out.println("store ok");
    }

    private static void use(Token token, KeyStore keys, String alias) throws Exception {
        PrivateKey key = (PrivateKey) keys.getKey(alias, null);
        java.security.cert.Certificate certificate = keys.getCertificate(alias);
        String algorithm = key.getAlgorithm().equals("EC") ? "SHA256withECDSA" : "SHA256withRSA";
        Signature s = Signature.getInstance(algorithm, token.provider);
        s.initSign(key);
        s.update(new byte[100]);
        byte[] signature = s.sign();
        Signature v = Signature.getInstance(algorithm);
        v.initVerify(certificate);
        v.update(new byte[100]);
        Token.check(v.verify(signature), "signature by " + alias);
        certificate.verify(certificate.getPublicKey());
    }
}
