package server

import (
	"testing"

	"google.golang.org/grpc"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// What a signature costs over mTLS on a stream, client and server in one
// process: by one caller, and by eight times as many as there are processors.
func BenchmarkSign(b *testing.B) {
	a := newAuthority(b)
	a.issue(b, "server", "server", a)
	a.issue(b, "client", "client", a)
	s := overLoopback(b, withTLS(a, "require"))
	conn := dial(b, s.Addr(true).String(), a.client(b, "client"))
	for _, row := range []struct {
		name      string
		mech, gen ck.MechanismType
		pub, priv attrs
	}{
		{"P-256", ck.CKM_ECDSA, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign},
		{"RSA-2048", ck.CKM_RSA_PKCS, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rsaPublic, rsaPrivate},
	} {
		pair := keyPair(b, pb.NewCryptoClient(conn), row.gen, row.pub, row.priv)
		req := &extpb.Request{Call: &extpb.Request_SignSingle{SignSingle: &pb.SignSingleRequest{
			Mech: mechanism(row.mech), PrivKey: &pb.KeyBlob{KeyBlobs: [][]byte{pair.PrivKeyBytes}}, Data: helloMessage[:32]}}}
		b.Run(row.name+"/one caller", func(b *testing.B) {
			stream := openStream(b, conn)
			for b.Loop() {
				signOn(b, stream, req)
			}
		})
		b.Run(row.name+"/many callers", func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				stream := openStream(b, conn)
				for p.Next() {
					signOn(b, stream, req)
				}
			})
		})
	}
}

func openStream(b *testing.B, conn *grpc.ClientConn) extpb.Session_ExchangeClient {
	s, err := extpb.NewSessionClient(conn).Exchange(b.Context())
	if err != nil {
		b.Error(err)
	}
	return s
}

func signOn(b *testing.B, s extpb.Session_ExchangeClient, req *extpb.Request) {
	if err := s.Send(req); err != nil {
		b.Error(err)
	}
	if r, err := s.Recv(); err != nil || r.GetError() != nil {
		b.Error(err, r.GetError())
	}
}
