"""The page without a service: static files with which a browser tags text by itself.

The browser runs this package in Pyodide, and onnxruntime-web computes the model. The files are those of the
page of the service, but for the module that passes on its requests.
"""
