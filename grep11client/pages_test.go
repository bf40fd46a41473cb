package grep11client

import (
	"context"
	"testing"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
)

// A service whose pages do not go on would be asked for ever.
func TestPagesThatDoNotGoOn(t *testing.T) {
	for name, row := range map[string]struct {
		handles []uint64
		want    ck.RV
	}{
		"in order":            {[]uint64{8, 9, 11}, ck.CKR_OK},
		"the same page again": {[]uint64{5, 6, 7}, ck.CKR_DEVICE_ERROR},
		"an object twice":     {[]uint64{8, 8}, ck.CKR_DEVICE_ERROR},
		"back and forth":      {[]uint64{9, 8}, ck.CKR_DEVICE_ERROR},
	} {
		l := listen(t, "127.0.0.1:0")
		serve(t, l, &fakeServer{answer: func(context.Context, *extpb.Request) (*extpb.Response, error) {
			page := &extpb.FindObjectsResponse{More: true}
			for _, h := range row.handles {
				page.Objects = append(page.Objects, &extpb.Object{Handle: h})
			}
			return &extpb.Response{Result: &extpb.Response_FindObjects{FindObjects: page}}, nil
		}})
		_, _, err := dialTo(t, Config{}, l.Addr().String()).Token(nil).FindObjects(t.Context(), nil, 7, 10)
		if ck.RVOf(err) != row.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
