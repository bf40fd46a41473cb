import java.io.*;
import java.net.InetAddress;
import java.security.*;
import java.util.concurrent.*;
import javax.net.ssl.*;

/** A JSSE server with its keys on the token, and a client that trusts them. */
public final class Tls {
    public static void main(String[] args) throws Exception {
        Token token = new Token(args);
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(token.keys, null);
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        for (String alias : new String[] {"java-rsa", "java-ec"}) {
            trusted.setCertificateEntry(alias, token.keys.getCertificate(alias));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        SSLContext server = SSLContext.getInstance("TLS");
        server.init(keys.getKeyManagers(), null, null);
        SSLContext client = SSLContext.getInstance("TLS");
        client.init(null, trust.getTrustManagers(), null);

        String[][] kinds = {
            {"TLSv1.3", null},
            {"TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
            {"TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        };
        for (String[] kind : kinds) {
            for (int i = 0; i < 10; i++) {
                connect(server, client, kind[0], kind[1]);
            }
            System.out.println("tls " + kind[0] + " " + kind[1] + " ok");
        }
    }

    private static void connect(SSLContext server, SSLContext client, String version, String suite) throws Exception {
        try (SSLServerSocket listener = (SSLServerSocket) server.getServerSocketFactory()
                .createServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
            CompletableFuture<Void> served = CompletableFuture.runAsync(() -> {
                try (SSLSocket s = (SSLSocket) listener.accept()) {
                    s.getOutputStream().write(s.getInputStream().read() + 1);
                    s.getOutputStream().flush();
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            try (SSLSocket s = (SSLSocket) client.getSocketFactory()
                    .createSocket(InetAddress.getLoopbackAddress(), listener.getLocalPort())) {
                s.setEnabledProtocols(new String[] {version});
                if (suite != null) {
                    s.setEnabledCipherSuites(new String[] {suite});
                }
                s.getOutputStream().write(41);
                s.getOutputStream().flush();
                Token.check(s.getInputStream().read() == 42, "answer");
                Token.check(s.getSession().getProtocol().equals(version), "protocol");
            }
            served.get(20, TimeUnit.SECONDS);
        }
    }
}
