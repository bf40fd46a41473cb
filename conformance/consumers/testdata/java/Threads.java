import java.nio.charset.StandardCharsets;
import java.security.*;
import java.security.spec.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.crypto.*;
import javax.crypto.spec.*;

/** Eight threads use keys on the token, each its own, while memory is collected. */
public final class Threads {
    private static final byte[] TEXT = "eight threads".getBytes(StandardCharsets.UTF_8);
    private static final int ROUNDS = 40;

    public static void main(String[] args) throws Exception {
        Token token = new Token(args);
        KeyPair rsa = pair(token.provider, "RSA", new RSAKeyGenParameterSpec(2048, RSAKeyGenParameterSpec.F4));
        KeyPair ec = pair(token.provider, "EC", new ECGenParameterSpec("secp256r1"));
        SecretKey aes = secret(token.provider, "AES", 256);
        SecretKey mac = new SecretKeySpec(new byte[32], "HmacSHA256");

        AtomicBoolean done = new AtomicBoolean();
        Thread garbage = new Thread(() -> {
            while (!done.get()) {
                List<byte[]> waste = new ArrayList<>();
                for (int i = 0; i < 200; i++) {
                    waste.add(new byte[64 << 10]);
                }
                System.gc();
            }
        });
        garbage.start();
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<?>> all = new ArrayList<>();
        for (int t = 0; t < 8; t++) {
            all.add(pool.submit(() -> {
                for (int i = 0; i < ROUNDS; i++) {
                    sign(token.provider, "SHA256withRSA", rsa, null);
                    sign(token.provider, "RSASSA-PSS", rsa, new PSSParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, 32, 1));
                    sign(token.provider, "SHA256withECDSA", ec, null);
                    gcm(token.provider, aes, i);
                    hmac(token.provider, mac);
                    nullPointer();
                }
                return null;
            }));
        }
        try {
            for (Future<?> f : all) {
                f.get();
            }
        } finally {
            done.set(true);
            pool.shutdownNow();
            garbage.join();
        }
        System.out.println("threads: " + 8 * ROUNDS + " rounds ok");
    }

    private static KeyPair pair(Provider p, String algorithm, AlgorithmParameterSpec spec) throws Exception {
        KeyPairGenerator g = KeyPairGenerator.getInstance(algorithm, p);
        g.initialize(spec);
        return g.generateKeyPair();
    }

    private static SecretKey secret(Provider p, String algorithm, int bits) throws Exception {
        KeyGenerator g = KeyGenerator.getInstance(algorithm, p);
        g.init(bits);
        return g.generateKey();
    }

    /** Signs on the token and verifies with Java's own software. */
    private static void sign(Provider p, String algorithm, KeyPair pair, AlgorithmParameterSpec spec) throws Exception {
        Signature s = Signature.getInstance(algorithm, p);
        if (spec != null) {
            s.setParameter(spec);
        }
        s.initSign(pair.getPrivate());
        s.update(TEXT);
        byte[] signature = s.sign();
        KeyFactory factory = KeyFactory.getInstance(pair.getPublic().getAlgorithm(), software(pair.getPublic().getAlgorithm()));
        PublicKey copy = factory.generatePublic(new X509EncodedKeySpec(pair.getPublic().getEncoded()));
        Signature v = spec == null ? Signature.getInstance(algorithm, software(pair.getPublic().getAlgorithm()))
            : Signature.getInstance(algorithm, "SunRsaSign");
        if (spec != null) {
            v.setParameter(spec);
        }
        v.initVerify(copy);
        v.update(TEXT);
        Token.check(v.verify(signature), algorithm + " signature");
    }

    private static String software(String algorithm) {
        return algorithm.equals("RSA") ? "SunRsaSign" : "SunEC";
    }

    private static void gcm(Provider p, SecretKey key, int round) throws Exception {
        byte[] iv = new byte[12];
        new SecureRandom().nextBytes(iv);
        Cipher c = Cipher.getInstance("AES/GCM/NoPadding", p);
        c.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, iv));
        c.updateAAD(TEXT);
        byte[] sealed = c.doFinal(TEXT);
        Token.check(sealed.length == TEXT.length + 16, "GCM length " + sealed.length);
        c.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, iv));
        c.updateAAD(TEXT);
        Token.check(Arrays.equals(c.doFinal(sealed), TEXT), "GCM round trip");
        sealed[round % sealed.length] ^= 1;
        c.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, iv));
        c.updateAAD(TEXT);
        try {
            c.doFinal(sealed);
            throw new IllegalStateException("GCM took an altered ciphertext");
        } catch (GeneralSecurityException | ProviderException expected) {
            // refused, as it must be
        }
    }

    private static void hmac(Provider p, SecretKey key) throws Exception {
        Mac ours = Mac.getInstance("HmacSHA256", p);
        ours.init(key);
        Mac theirs = Mac.getInstance("HmacSHA256", "SunJCE");
        theirs.init(key);
        Token.check(Arrays.equals(ours.doFinal(TEXT), theirs.doFinal(TEXT)), "HMAC");
    }

    /** The JVM makes a NullPointerException out of SIGSEGV: its handler must still be reached. */
    private static void nullPointer() {
        String s = System.nanoTime() > 0 ? null : "";
        try {
            s.length();
            throw new IllegalStateException("no NullPointerException");
        } catch (NullPointerException expected) {
            // as it must be
        }
    }
}
