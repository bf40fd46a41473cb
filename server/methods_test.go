package server

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
)

func TestEveryMethodOfTheProtocolHasARow(t *testing.T) {
	if n := len(services[0].methods); n != 40 {
		t.Errorf("grep11.Crypto has %d methods instead of 40", n)
	}
	for _, sv := range services {
		rows := map[string]bool{}
		for _, m := range sv.methods {
			rows[m.name] = true
		}
		for _, m := range sv.desc.Methods {
			if !rows[m.MethodName] {
				t.Errorf("%s.%s has no row", sv.desc.ServiceName, m.MethodName)
			}
		}
		if len(rows) != len(sv.desc.Methods) {
			t.Errorf("%s: %d rows for %d methods", sv.desc.ServiceName, len(rows), len(sv.desc.Methods))
		}
	}
	if n := len(pb.Crypto_ServiceDesc.Streams); n != 0 {
		t.Errorf("grep11.Crypto has %d streams, and is unary", n)
	}
	if extpb.Session_ServiceDesc.Streams[0].StreamName != "Exchange" || len(extpb.Session_ServiceDesc.Streams) != 1 {
		t.Error("the stream that is registered is not Exchange alone")
	}
}

// The stream finds methods by field; each must carry the messages of the unary call.
func TestEveryMethodIsOnTheStream(t *testing.T) {
	for _, sv := range services {
		if sv.desc == &extpb.Admin_ServiceDesc {
			continue // for operators, who call now and then
		}
		for _, m := range sv.methods {
			if m.responseField == nil {
				t.Errorf("%s is not in Request", m.name)
				continue
			}
			req := m.newRequest().ProtoReflect().Descriptor()
			in := requestCall.Fields().ByNumber(m.responseField.Number())
			if in.Message() != req {
				t.Errorf("%s takes %s, its field holds %s", m.name, req.FullName(), in.Message().FullName())
			}
			out := serviceDescriptor(t, sv.desc.ServiceName).Methods().ByName(protoreflect.Name(m.name)).Output()
			if m.responseField.Message() != out {
				t.Errorf("%s answers %s, its field holds %s", m.name, out.FullName(), m.responseField.Message().FullName())
			}
		}
	}
	if len(byNumber) != requestCall.Fields().Len() {
		t.Errorf("%d methods for %d fields", len(byNumber), requestCall.Fields().Len())
	}
}

func serviceDescriptor(t *testing.T, name string) protoreflect.ServiceDescriptor {
	t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.ServiceDescriptor)
}
