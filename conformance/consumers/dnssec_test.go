package consumers

import (
	"fmt"
	"strings"
	"testing"
)

// A zone is signed with keys on the token by four threads, and verified by
// BIND. (Debian 12's BIND is built without engines and cannot use tokens.)
func TestDNSSEC(t *testing.T) {
	consumer(t, "kzonesign", "knot-dnssecutils")
	consumer(t, "dnssec-verify", "bind9-utils")
	s := start(t)
	zone := "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns A 192.0.2.1\n"
	for host := range 300 {
		zone += fmt.Sprintf("h%d A 192.0.2.%d\n", host, host%250)
	}
	for _, algorithm := range []string{"ecdsap256sha256", "ecdsap384sha384", "rsasha256"} {
		t.Run(algorithm, func(t *testing.T) {
			folder := s.path(algorithm)
			s.write(t, algorithm+"/example.org.zone", zone)
			s.write(t, algorithm+"/db/none", "")
			s.write(t, algorithm+"/signed/none", "")
			conf := s.snippet(t, "knot.conf", "/srv/dns", folder, "ecdsap256sha256", algorithm)
			s.run(t, "kzonesign", "-c", conf, "-o", folder+"/signed", "example.org")
			wants(t, s.run(t, "dnssec-verify", "-o", "example.org", folder+"/signed/example.org.zone"), "Zone fully signed",
				strings.ToUpper(algorithm), "KSKs: 1 active", "ZSKs: 1 active")
		})
	}
}
