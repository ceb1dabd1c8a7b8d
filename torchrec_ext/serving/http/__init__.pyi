from torchrec_ext.serving.http.app import create_app as create_app
from torchrec_ext.serving.http.server import bind as bind
from torchrec_ext.serving.http.server import serve as serve
