from counting import model

from inference_gateway import Gateway

app = Gateway()
app.add_inference_route("/", model)
