"""The document of one gateway: its routes, its mount, what it asks for."""

from typing import Any

from inference_gateway.description.document import document
from inference_gateway.description.served import served

MODELS = {"/": "liver", "/lung/{side}": "lung", "/by/{number:int}/{of:path}": "other", "/lung-side": "last"}


def of(models: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    return served(document(), MODELS if models is None else models, **options)


def test_every_route_is_told_first_with_its_model() -> None:
    paths = of()["paths"]
    assert list(paths)[:4] == ["/", "/lung/{side}", "/by/{number}/{of}", "/lung-side"]
    assert [paths[path]["post"]["summary"] for path in list(paths)[:4]] == [
        *("Run the model liver", "Run the model lung", "Run the model other", "Run the model last")
    ]
    assert set(paths) - set(list(paths)[:4]) == set(document()["paths"]) - {"/"}


def test_each_operation_has_a_name_of_its_own() -> None:
    models = {**MODELS, "/lung_side": "clash", "/lung/side": "clash"}
    names = [told["operationId"] for path in of(models)["paths"].values() for told in path.values()]
    assert len(names) == len(set(names))
    assert "infer" in names


def test_parameters_of_a_path() -> None:
    parameters = of()["paths"]["/by/{number}/{of}"]["post"]["parameters"]
    assert [(each["name"], each["schema"]["type"]) for each in parameters[:2]] == [
        ("number", "integer"),
        ("of", "string"),
    ]
    assert all(each["in"] == "path" and each["required"] for each in parameters[:2])
    assert parameters[2:] == of()["paths"]["/"]["post"]["parameters"]
    assert "404" in of()["paths"]["/by/{number}/{of}"]["post"]["responses"]
    assert "404" not in of()["paths"]["/"]["post"]["responses"]


def test_a_route_at_a_path_of_the_gateway_takes_its_place() -> None:
    told = of({"/ping": "mine", "/docs": "mine"})["paths"]
    assert told["/ping"]["post"]["summary"] == "Run the model mine"
    assert told["/ping"]["get"]["operationId"] == "ping"
    assert set(told["/docs"]) == {"post", "get"}
    assert set(told["/"]) == {"get"}


def test_keys_metrics_and_mount() -> None:
    told = of(server="/liver", keys=True)
    assert told["servers"] == [{"url": "/liver"}]
    asked: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
    secured = {
        path for path, methods in told["paths"].items() for each in methods.values() if "security" in each
    }
    assert secured == {"/", "/lung/{side}", "/by/{number}/{of}", "/lung-side", "/metrics"}
    assert told["paths"]["/metrics"]["get"]["security"] == asked
    assert of()["servers"] == [{"url": "/"}]
    assert "/metrics" not in of(metrics=False)["paths"]
    assert not any("security" in each for methods in of()["paths"].values() for each in methods.values())


def test_the_common_document_is_left_as_it_was() -> None:
    common = document()
    served(common, MODELS, server="/x", keys=True)
    assert common == document()
